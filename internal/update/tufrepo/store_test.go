package tufrepo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"portward/internal/update/pipe"
)

// Rule: whatever happened to one file of the store, opening works, one refresh
// heals it, and a refresh after that is idle again.
func TestEachLocalCorruptionHealsInOneRefresh(t *testing.T) {
	t.Parallel()
	damages := map[string]func(t *testing.T, path string, stale []byte){
		"gone":  func(t *testing.T, path string, _ []byte) { os.Remove(path) },
		"empty": func(t *testing.T, path string, _ []byte) { write(t, path, nil) },
		"torn": func(t *testing.T, path string, _ []byte) {
			data := read(t, path)
			write(t, path, data[:len(data)/2])
		},
		"a bit flipped": func(t *testing.T, path string, _ []byte) {
			data := read(t, path)
			data[len(data)/2] ^= 1
			write(t, path, data)
		},
		"zeroes":    func(t *testing.T, path string, _ []byte) { write(t, path, make([]byte, len(read(t, path)))) },
		"too large": func(t *testing.T, path string, _ []byte) { write(t, path, make([]byte, maxTargets+1)) },
		"stale":     func(t *testing.T, path string, stale []byte) { write(t, path, stale) },
		"a directory": func(t *testing.T, path string, _ []byte) {
			os.Remove(path)
			if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"a link": func(t *testing.T, path string, _ []byte) {
			os.Remove(path)
			if err := os.Symlink("/dev/zero", path); err != nil {
				t.Fatal(err)
			}
		},
	}
	w := newWorld(t)
	first := w.trusting(day0)
	old := files(t, first.store.dir)
	w.root(day0.Add(hour), w.roots, func(*metadata.RootType) {})
	w.root(day0.Add(hour), w.roots, func(*metadata.RootType) {})
	w.publish("two", day0.Add(hour))
	good := w.trusting(day0.Add(hour)).store.dir
	for file := range files(t, good) {
		for name, damage := range damages {
			t.Run(file+" "+name, func(t *testing.T) {
				stale, isThere := old[file]
				if !isThere && name == "stale" {
					stale = old["1.root.json"]
				}
				w.heals(t, good, func(dir string) { damage(t, filepath.Join(dir, file), stale) })
			})
		}
	}
}

func (w *world) heals(t *testing.T, good string, damage func(dir string)) {
	dir := t.TempDir()
	for name, data := range files(t, good) {
		write(t, filepath.Join(dir, name), data)
	}
	damage(dir)
	now := day0.Add(2 * hour)
	trust := w.open(dir)
	w.refresh(trust, now)
	w.believes(trust, "two")
	if again := w.open(dir); again.root().md.Signed.Version != 3 || !again.whole() {
		t.Fatal("it did not last")
	}
	w.asked = nil
	again := w.open(dir)
	w.refresh(again, now)
	if !slices.Equal(w.asked, []string{"metadata/timestamp.json"}) {
		t.Fatalf("the next refresh asked for %q", w.asked)
	}
	for name := range files(t, dir) {
		if base, bad := strings.CutSuffix(name, ".bad"); bad && strings.HasSuffix(base, ".bad") {
			t.Fatalf("%s was kept", name)
		}
	}
}

// Rule: two damages of one file leave one file aside.
func TestOneBadFileOfAName(t *testing.T) {
	w := newWorld(t)
	dir := w.trusting(day0).store.dir
	for _, text := range []string{"first", "second"} {
		write(t, filepath.Join(dir, "timestamp.json"), []byte(text))
		w.refresh(w.open(dir), day0)
		if got := read(t, filepath.Join(dir, "timestamp.json.bad")); string(got) != text {
			t.Fatalf("%q was kept of %q", got, text)
		}
	}
	for range 2 {
		path := filepath.Join(dir, "timestamp.json")
		if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "full"), 0o700)); err != nil {
			t.Fatal(err)
		}
		w.refresh(w.open(dir), day0)
	}
}

// Rule: a power cut after any of a refresh's writes leaves a store that opens,
// believes something signed, and is whole after the next refresh.
func TestPowerCutAfterEachWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.trusting(day0).store.dir
	w.rotate(day0.Add(hour), metadata.TIMESTAMP, metadata.SNAPSHOT)
	w.rotate(day0.Add(hour), metadata.TARGETS)
	w.publish("two", day0.Add(hour))
	for n := 0; ; n++ {
		dir := t.TempDir()
		for name, data := range files(t, before) {
			write(t, filepath.Join(dir, name), data)
		}
		trust := w.open(dir)
		walk := &walk{Trust: trust, now: day0.Add(hour), get: w.get}
		if err := walk.all(); err != nil {
			t.Fatal(err)
		}
		trust.store.put(timestampFile, trust.timestamp.raw)
		trust.putFloor()
		all := len(trust.store.dirty)
		trust.store.dirty = trust.store.dirty[:n]
		if err := trust.store.flush(); err != nil {
			t.Fatal(err)
		}
		again := w.open(dir)
		w.refresh(again, day0.Add(hour))
		w.believes(again, "two")
		w.believes(w.open(dir), "two")
		if n == all {
			break
		}
	}
}

// Rule: an error of the disk is answered, and costs nothing but itself: what
// was verified stays believed, and is written when the disk takes it.
func TestDiskErrorIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	dir := trust.store.dir
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	w.publish("two", day0.Add(hour))
	if _, err := trust.Refresh(day0.Add(hour), w.get); err == nil {
		t.Fatal("nothing was written and nobody was told")
	}
	w.believes(trust, "two")
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	w.refresh(trust, day0.Add(hour))
	w.believes(w.open(dir), "two")
}

// Rule: what is stored are the bytes that came, not ours of the same meaning.
func TestStoredBytesAreThoseThatCame(t *testing.T) {
	w := newWorld(t)
	w.files["metadata/timestamp.json"] = append(w.files["metadata/timestamp.json"], " \n"...)
	trust := w.trusting(day0)
	if !bytes.Equal(read(t, filepath.Join(trust.store.dir, "timestamp.json")), w.files["metadata/timestamp.json"]) {
		t.Fatal("they differ")
	}
}

// Rule: trust begins with the root that is given, even when the store is of
// another one; and a newer beginning keeps the older roots for vouching only.
func TestWhereTrustBegins(t *testing.T) {
	mine, other := newWorld(t), newWorld(t)
	dir := other.trusting(day0).store.dir
	trust := mine.open(dir)
	mine.believes(trust, "")
	mine.refresh(trust, day0)
	mine.believes(trust, "one")

	targets := mine.files["metadata/1.targets.json"]
	mine.rotate(day0, metadata.TARGETS)
	mine.publish("two", day0)
	if _, err := trust.Walk(day0, mine.get); err != nil {
		t.Fatal(err)
	}
	newer, err := Open(dir, mine.files["metadata/2.root.json"], day0)
	if err != nil {
		t.Fatal(err)
	}
	if err := newer.Vouches(targets, []byte("one")); err != nil {
		t.Fatalf("the old bundle lost its vouching: %v", err)
	}
	mine.believes(newer, "two")
	write(t, filepath.Join(dir, "1.root.json"), other.files["metadata/1.root.json"])
	if newer, err = Open(dir, mine.files["metadata/2.root.json"], day0); err != nil {
		t.Fatal(err)
	}
	if newer.Vouches(other.files["metadata/1.targets.json"], []byte("one")) == nil {
		t.Fatal("a foreign root vouches")
	}
}

// Rule: vouching needs a signature by targets' keys of some root that was
// trusted, and the seal among its seals; dates do not count.
func TestVouches(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	root, targets := trust.Vouch()
	if !bytes.Equal(root, w.files["metadata/1.root.json"]) || !bytes.Equal(targets, w.files["metadata/1.targets.json"]) {
		t.Fatal("it does not answer what was published")
	}
	if err := trust.Vouches(targets, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if trust.Vouches(targets, []byte("two")) == nil {
		t.Fatal("it vouches for another seal")
	}
	if err := w.m.publish(map[string]NewTarget{"stable/linux-amd64/delivery.json": {Data: []byte("three")}}, nil, day0); err != nil {
		t.Fatal(err)
	}
	if trust.Vouches(w.m.targetsRaw, []byte("three")) == nil {
		t.Fatal("it vouches for a target that is no seal")
	}
	if trust.Vouches(newWorld(t).files["metadata/1.targets.json"], []byte("one")) == nil {
		t.Fatal("it vouches by foreign keys")
	}
	if trust.Vouches(w.files["metadata/1.snapshot.json"], []byte("one")) == nil || trust.Vouches(nil, nil) == nil {
		t.Fatal("it vouches by what is no targets")
	}
	w.rotate(day0, metadata.TARGETS)
	w.publish("four", day0)
	if _, err := trust.Walk(day0, w.get); err != nil {
		t.Fatal(err)
	}
	if err := trust.Vouches(targets, []byte("one")); err != nil {
		t.Fatalf("after a rotation what runs has no voucher: %v", err)
	}
}

// Rule: an error of the getter arrives as it is.
func TestGettersErrorsArePassedOn(t *testing.T) {
	w := newWorld(t)
	for _, want := range []error{pipe.ErrOffline, pipe.ErrNoSpace, errors.New("the fetcher died")} {
		for _, file := range []string{"metadata/2.root.json", "metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json"} {
			_, err := w.open(t.TempDir()).Refresh(day0, func(name string, max int64, have string) ([]byte, error) {
				if name == file {
					return nil, want
				}
				return w.get(name, max, have)
			})
			var e *Error
			if !errors.Is(err, want) || errors.As(err, &e) {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// files are the plain files of a directory.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, e := range entries {
		if e.Type().IsRegular() {
			all[e.Name()] = read(t, filepath.Join(dir, e.Name()))
		}
	}
	return all
}
