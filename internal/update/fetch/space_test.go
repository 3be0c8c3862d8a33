package fetch

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portward/internal/update/pipe"
)

// freeing says that so much is free, less what the cache holds.
func freeing(disk *int64) func(*Config, *limits) {
	return func(c *Config, _ *limits) {
		c.Free = func(string) (uint64, error) { return uint64(max(*disk-sizeOf(c.Cache), 0)), nil }
	}
}

func sizeOf(dir string) (n int64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

// Rule: what does not fit, and leave room for others, is not begun, and what was
// there of it is given back; with room it comes.
func TestNoRoom(t *testing.T) {
	s, dir := newShelf(t), t.TempDir()
	content := large()
	file, want := one(t, s, content, None)
	disk := file.Size + file.Size/10 + spare // a little too small: the signed list lies there, too
	f := fetcher(t, s.URL, in(dir), freeing(&disk))
	write(t, dir, file.SHA256+partSuffix, content[:2<<20])
	disk = spare
	s.took()
	_, err := f.Prepare(want)
	wantErr(t, err, pipe.ErrNoSpace)
	wantText(t, err, "MB are free")
	wantNames(t, dir)
	if err := f.File(file, false, io.Discard, nil); err == nil {
		t.Error("what was refused came")
	}
	if n := s.count("b/"); n != 0 {
		t.Errorf("%d requests", n)
	}
	disk = 2*file.Size + spare
	prepare(t, f, want)
	take(t, f, file)
}

// Rule: a disk that fills after the plan was made ends the download before it
// begins, and all that the cache took is given back.
func TestRoomGone(t *testing.T) {
	s, dir := newShelf(t), t.TempDir()
	o := offerOn(t, s.put)
	one, two := o.add(noise(300_000, 1), None), o.add(noise(300_000, 2), None)
	want := o.close()
	want.Files = append(want.Files, one) // and once more, so that it stays
	disk := int64(1 << 30)
	f := fetcher(t, s.URL, in(dir), freeing(&disk))
	prepare(t, f, want)
	take(t, f, one)
	disk = spare
	s.count("")
	wantErr(t, f.File(two, false, io.Discard, nil), pipe.ErrNoSpace)
	wantNames(t, dir)
	if n := s.count("b/"); n != 0 {
		t.Errorf("%d requests", n)
	}
	disk = 1 << 30
	take(t, f, two)
	take(t, f, one)
}

// Rule: what whoever asks will refuse for want of room is refused here already,
// where the parts of an earlier download are given back: they need room for all
// files beside what the cache holds.
func TestNoRoomForFiles(t *testing.T) {
	s, dir := newShelf(t), t.TempDir()
	content := noise(1<<20, 1)
	file, want := one(t, s, content, None)
	for free, ok := range map[uint64]bool{2 * 1 << 20: false, 3 * 1 << 20: true} {
		write(t, dir, file.SHA256+partSuffix, content[:1<<19])
		f := fetcher(t, s.URL, in(dir), func(c *Config, _ *limits) {
			c.Live = filepath.Join(t.TempDir(), "live")
			c.Free = func(of string) (uint64, error) {
				if of == filepath.Dir(c.Live) {
					return free, nil
				}
				return 1 << 40, nil
			}
		})
		_, err := f.Prepare(want)
		if errors.Is(err, pipe.ErrNoSpace) == ok {
			t.Errorf("%d are free: %v", free, err)
		}
		if n := sizeOf(dir); !ok && n > 0 {
			t.Errorf("%d bytes are left", n)
		}
	}
}

// Rule: a disk that does not say what is free is tried.
func TestUnknownRoom(t *testing.T) {
	s := newShelf(t)
	file, want := one(t, s, noise(1000, 1), None)
	f := fetcher(t, s.URL, func(c *Config, _ *limits) {
		c.Free = func(string) (uint64, error) { return 0, errors.ErrUnsupported }
	})
	prepare(t, f, want)
	take(t, f, file)
}

// Rule: once it is known what is wanted, the cache holds no more than that and
// its small files, whatever an earlier process left; at a start nothing is left
// that is not a fetcher's, is too large, or that nobody came back for.
func TestTidyCache(t *testing.T) {
	s, dir := newShelf(t), t.TempDir()
	content := noise(300_000, 1)
	file, want := one(t, s, content, None)
	part := write(t, dir, file.SHA256+partSuffix, make([]byte, 1<<20)) // of more than was signed
	write(t, dir, "stranger", nil)
	write(t, dir, tempName, nil)
	write(t, dir, hashN("0")+".part.part", nil)
	write(t, dir, "nohash"+partSuffix, nil)
	old := write(t, dir, hashN("1")+partSuffix, content)
	young := write(t, dir, hashN("2")+partSuffix, content)
	future := write(t, dir, hashN("3")+jsonSuffix, nil)
	for path, age := range map[string]time.Duration{old: 8 * 24 * time.Hour, young: time.Hour, future: -48 * time.Hour, part: 0} {
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "deep", "er"), 0o700), os.MkdirAll(filepath.Join(dir, hashN("4")+partSuffix, "er"), 0o700),
		os.Symlink("/etc/passwd", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lock", holdName, timestampFile} {
		write(t, dir, name, []byte("x"))
	}
	write(t, dir, ticketsFile, make([]byte, 1<<20))
	f := fetcher(t, s.URL, in(dir))
	f.cache.tidy(time.Now())
	wantNames(t, dir, file.SHA256+partSuffix, hashN("2")+partSuffix, "lock", holdName, timestampFile)
	prepare(t, f, want)
	wantNames(t, dir, want.SHA256+jsonSuffix, "lock", holdName, timestampFile)
	take(t, f, file)
}

// Rule: a patch that turned out to be of no use leaves the cache before the blob
// comes.
func TestUselessPatchLeaves(t *testing.T) {
	s := newShelf(t)
	old := noise(300_000, 1)
	content := append(old[:len(old):len(old)], "and more"...)
	o := offerOn(t, s.put)
	file := o.add(content, None, old)
	path := write(t, t.TempDir(), "old", old)
	o.have(old, path)
	want := o.close()
	want.Files = append(want.Files, file)
	f := fetcher(t, s.URL)
	prepare(t, f, want)
	take(t, f, file) // the patch stays for the second one
	os.Remove(path)
	s.setTrick(nil)
	take(t, f, file)
	wantNames(t, f.cache.root.Name(), want.SHA256+jsonSuffix)
}
