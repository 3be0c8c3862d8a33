package fetch

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"portward/internal/update/pipe"
)

// large is more than PiecedAbove and no multiple of a piece.
func large() []byte { return noise(PiecedAbove+PieceSize/3, 7) }

// one offers one content and answers what is wanted.
func one(t *testing.T, s *shelf, content []byte, codec string, olds ...[]byte) (pipe.File, pipe.Want) {
	o := offerOn(t, s.put)
	file := o.add(content, codec, olds...)
	return file, o.close()
}

// Rule: a content comes whole in whatever way it is stored, the plan is what it
// then costs, and nothing of it stays in the cache but the signed list.
func TestWays(t *testing.T) {
	s := newShelf(t)
	o := offerOn(t, s.put)
	var files []pipe.File
	for _, c := range []struct {
		content []byte
		codec   string
	}{
		{nil, None}, {[]byte{}, Zstd}, {[]byte("<html>"), None}, {noise(100_000, 1), None}, {bytes.Repeat([]byte("abc"), 100_000), Zstd}, {large(), None},
	} {
		if len(c.content) == 0 && c.codec == Zstd {
			continue // the same content as the first
		}
		files = append(files, o.add(c.content, c.codec))
	}
	want := o.close()
	f := fetcher(t, s.URL)
	plan := prepare(t, f, want)
	s.took()
	told := int64(0)
	for _, file := range files {
		told += take(t, f, file)
	}
	if moved := s.took(); moved != plan.Download || told != moved {
		t.Errorf("%d bytes moved and %d told where %d were planned", moved, told, plan.Download)
	}
	if plan.Scratch != int64(len(large())) {
		t.Errorf("scratch of %d bytes", plan.Scratch)
	}
	wantNames(t, f.cache.root.Name(), want.SHA256+jsonSuffix)
}

// Rule: where the old content lies here, the patch is what is moved; with whole
// it is the blob.
func TestDelta(t *testing.T) {
	s := newShelf(t)
	old := noise(300_000, 1)
	content := append(bytes.Clone(old), "and more"...)
	o := offerOn(t, s.put)
	file := o.add(content, None, noise(1000, 9), old)
	o.have(old, write(t, t.TempDir(), "old", old))
	want := o.close()
	f := fetcher(t, s.URL)
	plan := prepare(t, f, want)
	if plan.Download > 10_000 || plan.Scratch != plan.Download {
		t.Errorf("%+v", plan)
	}
	take(t, f, file)
	if n := s.count("b/"); n != 1 {
		t.Errorf("%d requests", n)
	}
	prepare(t, f, want)
	s.took()
	if err := f.File(file, true, io.Discard, nil); err != nil {
		t.Fatal(err)
	}
	if moved := s.took(); moved != file.Size {
		t.Errorf("%d bytes moved", moved)
	}
}

// Rule: where a patch cannot be had or used, the blob comes in the same
// question; nobody has to ask again.
func TestUselessDeltas(t *testing.T) {
	old := noise(300_000, 1)
	content := append(bytes.Clone(old), "and more"...)
	for name, spoil := range map[string]func(s *shelf, o *offer, item *Item){
		"old is gone":     func(_ *shelf, o *offer, _ *Item) { os.Remove(o.want.Have[0].Path) },
		"old has changed": func(_ *shelf, o *offer, _ *Item) { os.WriteFile(o.want.Have[0].Path, noise(300_000, 2), 0o600) },
		"old is a link": func(_ *shelf, o *offer, _ *Item) {
			os.Rename(o.want.Have[0].Path, o.want.Have[0].Path+"1")
			os.Symlink(o.want.Have[0].Path+"1", o.want.Have[0].Path)
		},
		"old is relative":   func(_ *shelf, o *offer, _ *Item) { o.want.Have[0].Path = "old" },
		"old is a device":   func(_ *shelf, o *offer, _ *Item) { o.want.Have[0].Path = "/dev/zero" },
		"old is another":    func(_ *shelf, o *offer, _ *Item) { o.want.Have[0].SHA256 = hashN("0") },
		"no old":            func(_ *shelf, o *offer, _ *Item) { o.want.Have = nil },
		"no patch":          func(s *shelf, _ *offer, i *Item) { delete(s.files, "b/"+i.Deltas[0].SHA256) },
		"wrong patch":       func(s *shelf, _ *offer, i *Item) { s.files["b/"+i.Deltas[0].SHA256][9] ^= 1 },
		"unknown algorithm": func(_ *shelf, _ *offer, i *Item) { i.Deltas[0].Algorithm = "magic" },
		"dear patch":        func(_ *shelf, _ *offer, i *Item) { i.Deltas[0].Size = i.Blob.Size + 1 },
	} {
		s := newShelf(t)
		o := offerOn(t, s.put)
		file := o.add(content, None, old)
		o.have(old, write(t, t.TempDir(), "old", old))
		item := o.items[file.SHA256]
		spoil(s, o, &item)
		o.items[file.SHA256] = item
		f := fetcher(t, s.URL)
		prepare(t, f, o.close())
		s.took()
		take(t, f, file)
		if moved := s.took(); moved < file.Size {
			t.Errorf("%s: %d bytes moved", name, moved)
		}
	}
}

// Rule: what is signed and yet makes other bytes is wrong, no byte more than the
// size comes out, and it is not kept.
func TestBombs(t *testing.T) {
	s := newShelf(t)
	zeros := make([]byte, 10_000_000)
	small := noise(1000, 1)
	for name, c := range map[string]struct{ blob, content []byte }{
		"too much":   {squeeze(t, zeros), zeros[:1000]},
		"too little": {squeeze(t, zeros[:999]), zeros[:1000]},
		"other":      {squeeze(t, noise(1000, 2)), small},
		"no zstd":    {small, zeros[:1000]},
		"torn":       {squeeze(t, small)[:500], small},
		"nothing":    {nil, small},
	} {
		o := offerOn(t, s.put)
		s.put("b/"+hashOf(c.blob), c.blob)
		file := o.addItem(Item{SHA256: hashOf(c.content), Size: int64(len(c.content)), Blob: Blob{SHA256: hashOf(c.blob), Size: int64(len(c.blob)), Codec: Zstd}})
		want := o.close()
		f := fetcher(t, s.URL)
		prepare(t, f, want)
		var got bytes.Buffer
		if err := f.File(file, false, &got, nil); !errors.Is(err, pipe.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if int64(got.Len()) > file.Size {
			t.Errorf("%s: %d bytes came out", name, got.Len())
		}
		wantNames(t, f.cache.root.Name(), want.SHA256+jsonSuffix)
	}
}

// Rule: a patch that is signed and yet makes other bytes is wrong; the caller
// then asks for the whole.
func TestWrongDelta(t *testing.T) {
	s := newShelf(t)
	old := noise(300_000, 1)
	content, other := append(bytes.Clone(old), 'a'), append(bytes.Clone(old), 'b')
	o := offerOn(t, s.put)
	file := o.add(content, None, old)
	wrong := o.items[o.add(other, None, old).SHA256]
	item := o.items[file.SHA256]
	item.Deltas = wrong.Deltas
	o.items[file.SHA256] = item
	o.have(old, write(t, t.TempDir(), "old", old))
	f := fetcher(t, s.URL)
	prepare(t, f, o.close())
	wantErr(t, f.File(file, false, io.Discard, nil), pipe.ErrCorrupt)
	var got bytes.Buffer
	if err := f.File(file, true, &got, nil); err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
}

// Rule: only what was prepared is fetched, and a delivery must have it.
func TestNotPrepared(t *testing.T) {
	s := newShelf(t)
	file, want := one(t, s, []byte("x"), None)
	f := fetcher(t, s.URL)
	if err := f.File(file, false, io.Discard, nil); err == nil {
		t.Error("before")
	}
	for _, other := range []pipe.File{{SHA256: hashN("0"), Size: 1}, {SHA256: file.SHA256, Size: 2}, {SHA256: "../" + file.SHA256[3:], Size: 1}} {
		w := want
		w.Files = []pipe.File{file, other}
		if _, err := f.Prepare(w); err == nil {
			t.Errorf("%v: no error", other)
		}
	}
	prepare(t, f, want)
	if err := f.File(pipe.File{SHA256: file.SHA256, Size: 2}, false, io.Discard, nil); err == nil {
		t.Error("another size")
	}
	take(t, f, file)
}

// Rule: another list than the signed one is not read, and is asked for once more
// past all caches.
func TestWrongDelivery(t *testing.T) {
	s := newShelf(t)
	_, want := one(t, s, []byte("x"), None)
	right := s.files[want.Name]
	f := fetcher(t, s.URL)
	for name, wrong := range map[string][]byte{
		"other":  bytes.Replace(right, []byte("none"), []byte("zstd"), 1),
		"longer": append(bytes.Clone(right), ' '),
		"empty":  {},
	} {
		s.setTrick(func(w http.ResponseWriter, _ *http.Request) bool { w.Write(wrong); return true })
		if _, err := f.Prepare(want); !errors.Is(err, pipe.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if n := s.count(""); n != 2 {
			t.Errorf("%s: %d requests", name, n)
		}
		s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Cache-Control") != "no-cache" {
				w.Write(wrong)
				return true
			}
			return false
		})
		prepare(t, f, want)
		s.count("")
		write(t, f.cache.root.Name(), want.SHA256+jsonSuffix, wrong)
	}
	for _, bad := range []pipe.Want{{Name: want.Name, SHA256: "..", Size: 1}, {Name: want.Name, SHA256: want.SHA256, Size: -1}, {Name: want.Name, SHA256: want.SHA256, Size: pipe.MaxGet + 1}} {
		if _, err := f.Prepare(bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

// Rule: the same content for two files is moved once.
func TestTwice(t *testing.T) {
	s := newShelf(t)
	file, want := one(t, s, noise(1000, 1), None)
	want.Files = append(want.Files, file)
	f := fetcher(t, s.URL)
	plan := prepare(t, f, want)
	s.took()
	take(t, f, file)
	take(t, f, file)
	if moved := s.took(); moved != 1000 || plan.Download != 1000 || plan.Scratch != 1000 {
		t.Errorf("%d bytes moved, %+v", moved, plan)
	}
	wantNames(t, f.cache.root.Name(), want.SHA256+jsonSuffix)
}

// cutAt makes every answer with a blob break after so many bytes.
func cutAt(s *shelf, n int64) {
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/b/") {
			w.(*counted).cut = n
		}
		return false
	})
}

// Rule: a transfer that breaks, again and again, at any byte, goes on where it
// was, in one process or in many; what was moved is what it has.
func TestResume(t *testing.T) {
	for name, content := range map[string][]byte{"whole": noise(300_000, 1), "pieces": large()} {
		s, dir := newShelf(t), t.TempDir()
		file, want := one(t, s, content, None)
		cutAt(s, int64(len(content)/7+1))
		done := false
		for range 10 {
			f := fetcher(t, s.URL, in(dir), limited(func(l *limits) { l.tries = 2 }))
			prepare(t, f, want)
			var got bytes.Buffer
			err := f.File(file, false, &got, nil)
			f.Close()
			if done = err == nil && hashOf(got.Bytes()) == file.SHA256; done {
				break
			}
			wantErr(t, err, pipe.ErrOffline)
		}
		moved := s.took() - want.Size
		if !done || moved > file.Size {
			t.Errorf("%s: done %v, %d bytes moved for %d", name, done, moved, file.Size)
		}
	}
}

// Rule: what is here already is not planned again, not even in another
// process, and what belongs to something else is removed.
func TestPlanAfterKill(t *testing.T) {
	s, dir := newShelf(t), t.TempDir()
	content := noise(300_000, 1)
	file, want := one(t, s, content, None)
	write(t, dir, file.SHA256+partSuffix, content[:100_000])
	write(t, dir, hashN("0")+partSuffix, content)
	write(t, dir, hashN("0")+etagSuffix, nil)
	write(t, dir, hashN("0")+jsonSuffix, nil)
	write(t, dir, ticketsFile, []byte("{}"))
	f := fetcher(t, s.URL, in(dir))
	plan := prepare(t, f, want)
	if plan.Download != 200_000 || plan.Scratch != 300_000 {
		t.Errorf("%+v", plan)
	}
	wantNames(t, dir, file.SHA256+partSuffix, ticketsFile, want.SHA256+jsonSuffix)
	s.took()
	if told := take(t, f, file); told != 200_000 || s.took() != 200_000 {
		t.Errorf("told %d", told)
	}
}

// Rule: whatever lies in the place of a part, the content comes; right bytes at
// its beginning are kept, unless there are more than were signed.
func TestSpoiltPart(t *testing.T) {
	content := large()
	for name, c := range map[string]struct {
		lay  func(part string)
		most int
	}{
		"empty":          {func(p string) { os.WriteFile(p, nil, 0o600) }, len(content)},
		"too long":       {func(p string) { os.WriteFile(p, append(bytes.Clone(content), 1), 0o600) }, len(content)},
		"zeros":          {func(p string) { os.WriteFile(p, make([]byte, 5<<20), 0o600) }, len(content)},
		"flip in second": {func(p string) { os.WriteFile(p, flip(content, PieceSize+5), 0o600) }, len(content) - PieceSize},
		"flip in last":   {func(p string) { os.WriteFile(p, flip(content, len(content)-1), 0o600) }, len(content) % PieceSize},
		"flip in unfinished piece": {func(p string) {
			os.WriteFile(p, flip(content, 2*PieceSize+5)[:2*PieceSize+100], 0o600)
		}, len(content) - 2*PieceSize + PieceSize},
		"directory": {func(p string) { os.MkdirAll(p+"/x", 0o700) }, len(content)},
		"link":      {func(p string) { os.Symlink("/etc/passwd", p) }, len(content)},
		"zeros for an etag": {func(p string) {
			os.WriteFile(p, content[:2*PieceSize], 0o600)
			os.WriteFile(strings.TrimSuffix(p, partSuffix)+etagSuffix, make([]byte, 20), 0o600)
		}, len(content) - 2*PieceSize},
		"unreadable etag": {func(p string) {
			os.WriteFile(p, content[:100], 0o600)
			os.Mkdir(strings.TrimSuffix(p, partSuffix)+etagSuffix, 0o700)
		}, len(content)},
	} {
		s, dir := newShelf(t), t.TempDir()
		file, want := one(t, s, content, None)
		c.lay(filepath.Join(dir, file.SHA256+partSuffix))
		f := fetcher(t, s.URL, in(dir))
		prepare(t, f, want)
		s.took()
		var got bytes.Buffer
		if err := f.File(file, false, &got, nil); err != nil || hashOf(got.Bytes()) != file.SHA256 {
			t.Errorf("%s: %v, %d bytes", name, err, got.Len())
		}
		if moved := s.took(); moved > int64(c.most) {
			t.Errorf("%s: %d bytes moved, at most %d had to be", name, moved, c.most)
		}
	}
}

func flip(b []byte, at int) []byte {
	c := bytes.Clone(b)
	c[at] ^= 1
	return c
}

// serveOther answers a blob with these bytes, ranges and all.
func serveOther(w http.ResponseWriter, r *http.Request, data []byte) bool {
	http.ServeContent(w, r, "", zeroTime, bytes.NewReader(data))
	return true
}

// Rule: bytes flipped on the way, or by a cache on the way, cost a piece each,
// and no request for more.
func TestFlips(t *testing.T) {
	s := newShelf(t)
	content := large()
	file, want := one(t, s, content, None)
	bad := flip(flip(flip(content, 0), 3*PieceSize+77), len(content)-1)
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/b/") && r.Header.Get("Cache-Control") == "" && serveOther(w, r, bad)
	})
	f := fetcher(t, s.URL)
	prepare(t, f, want)
	s.took()
	take(t, f, file)
	if moved := s.took(); moved > file.Size+3*PieceSize {
		t.Errorf("%d bytes moved for %d", moved, file.Size)
	}
}

// Rule: a blob that is wrong in all caches is given up after a few requests, the
// pieces that were right are kept, and it heals when the repository does.
func TestLastingFlip(t *testing.T) {
	s := newShelf(t)
	content := large()
	file, want := one(t, s, content, None)
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/b/") && serveOther(w, r, flip(content, 5*PieceSize))
	})
	f := fetcher(t, s.URL)
	prepare(t, f, want)
	wantErr(t, f.File(file, false, io.Discard, nil), pipe.ErrCorrupt)
	if n := s.count("b/"); n > 2 {
		t.Errorf("%d requests", n)
	}
	s.setTrick(nil)
	if plan := prepare(t, f, want); plan.Download > file.Size-5*PieceSize {
		t.Errorf("%+v", plan)
	}
	take(t, f, file)
}

// Rule: a short blob with wrong bytes is asked for once more past caches, and
// then given up.
func TestShortFlip(t *testing.T) {
	s := newShelf(t)
	content := noise(100_000, 1)
	file, want := one(t, s, content, None)
	f := fetcher(t, s.URL)
	prepare(t, f, want)
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool { return serveOther(w, r, flip(content, 5)) })
	wantErr(t, f.File(file, false, io.Discard, nil), pipe.ErrCorrupt)
	if n := s.count("b/"); n != 2 {
		t.Errorf("%d requests", n)
	}
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		return r.Header.Get("Cache-Control") == "" && serveOther(w, r, flip(content, 5))
	})
	take(t, f, file)
}

// Rule: whatever a server says of length and ranges, right bytes come out, or an
// error after a few requests.
func TestLyingServers(t *testing.T) {
	content := noise(100_000, 1)
	half := len(content) / 2
	for name, c := range map[string]struct {
		err   error
		trick func(w http.ResponseWriter, r *http.Request)
	}{
		"says less": {pipe.ErrCorrupt, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(half))
			w.Write(content[:half])
		}},
		"says more": {pipe.ErrCorrupt, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(2*len(content)))
			w.Write(content)
		}},
		"gives less": {pipe.ErrOffline, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			w.Write(content[:half])
		}},
		"ends early": {pipe.ErrOffline, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			w.Write(content[:half])
		}},
		"does not end": {nil, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			for _, err := w.Write(content); err == nil; _, err = w.Write(content) {
			}
		}},
		"knows no ranges": {nil, func(w http.ResponseWriter, r *http.Request) { w.Write(content) }},
		"other range": {pipe.ErrOffline, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-100/100000")
			w.WriteHeader(http.StatusPartialContent)
		}},
		"range of another": {pipe.ErrOffline, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 50000-99999/100001")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content[half:])
		}},
		"no range": {pipe.ErrOffline, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusPartialContent) }},
		"416":      {pipe.ErrOffline, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(416) }},
		"304":      {pipe.ErrOffline, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }},
		"empty":    {pipe.ErrCorrupt, func(w http.ResponseWriter, r *http.Request) {}},
		"a page":   {pipe.ErrOffline, func(w http.ResponseWriter, r *http.Request) { page(w, r) }},
	} {
		s, dir := newShelf(t), t.TempDir()
		file, want := one(t, s, content, None)
		write(t, dir, file.SHA256+partSuffix, content[:half])
		f := fetcher(t, s.URL, in(dir))
		prepare(t, f, want)
		s.count("")
		s.setTrick(func(w http.ResponseWriter, r *http.Request) bool { c.trick(w, r); return true })
		var got bytes.Buffer
		if err := f.File(file, false, &got, nil); !errors.Is(err, c.err) {
			t.Errorf("%s: %v instead of %v", name, err, c.err)
		} else if err == nil && hashOf(got.Bytes()) != file.SHA256 {
			t.Errorf("%s: %d other bytes", name, got.Len())
		}
		if n := s.count(""); n > 5 {
			t.Errorf("%s: %d requests", name, n)
		}
		s.setTrick(nil)
		take(t, f, pipe.File{SHA256: file.SHA256, Size: again(t, f, want).Size})
	}
}

func again(t *testing.T, f *Fetcher, w pipe.Want) pipe.File {
	prepare(t, f, w)
	return w.Files[0]
}

// Rule: a blob that became another file between two tries is begun again, not
// glued together.
func TestChangedETag(t *testing.T) {
	s, dir := newShelf(t), t.TempDir()
	content := noise(100_000, 1)
	file, want := one(t, s, content, None)
	write(t, dir, file.SHA256+partSuffix, noise(50_000, 2))
	write(t, dir, file.SHA256+etagSuffix, []byte(`"another"`))
	f := fetcher(t, s.URL, in(dir))
	prepare(t, f, want)
	s.count("")
	take(t, f, file)
	if n := s.count(""); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// Rule: an error of who is written to is answered, and the transfer is kept.
func TestGoneReader(t *testing.T) {
	s := newShelf(t)
	file, want := one(t, s, noise(100_000, 1), Zstd)
	f := fetcher(t, s.URL)
	prepare(t, f, want)
	wantErr(t, f.File(file, false, brokenWriter{}, nil), io.ErrClosedPipe)
	s.took()
	take(t, f, file)
	if moved := s.took(); moved != 0 {
		t.Errorf("%d bytes moved again", moved)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
