package tufrepo

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// rotated is a client that took three roots and the seal "two".
func rotated(t *testing.T) (*world, *Trust) {
	t.Helper()
	w := newWorld(t)
	old := w.trusting(day0)
	w.root(day0.Add(hour), w.roots, func(*metadata.RootType) {})
	w.rotate(day0.Add(hour), metadata.TARGETS)
	w.publish("two", day0.Add(hour))
	w.refresh(old, day0.Add(hour))
	return w, old
}

// fetched says that more was asked for than whether there is anything new.
func (w *world) fetched() bool {
	return slices.ContainsFunc(w.asked, func(name string) bool {
		return name != "metadata/timestamp.json" && name != "metadata/4.root.json"
	})
}

// Rule: where nobody says whom to begin with, it is the newest kept root that
// signed itself, and whatever it stands behind is believed.
func TestBeginsFromWhatIsKept(t *testing.T) {
	for name, damage := range map[string]func(at func(string) string){
		"nothing":         func(func(string) string) {},
		"the first root":  func(at func(string) string) { write(t, at("1.root.json"), []byte("{")) },
		"a root between":  func(at func(string) string) { os.Remove(at("2.root.json")) },
		"a torn new root": func(at func(string) string) { write(t, at("4.root.json"), []byte("{")) },
		"an old root as a new one": func(at func(string) string) {
			write(t, at("4.root.json"), read(t, at("1.root.json")))
		},
		"other names": func(at func(string) string) { write(t, at("09.root.json"), nil); write(t, at("9.root.json.bad"), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			w, old := rotated(t)
			dir := old.store.dir
			damage(func(file string) string { return filepath.Join(dir, file) })
			trust, err := Open(dir, nil, day0)
			if err != nil {
				t.Fatal(err)
			}
			if v := trust.root().md.Signed.Version; v != 3 {
				t.Errorf("it begins with root %d", v)
			}
			w.believes(trust, "two")
			w.refresh(trust, day0.Add(2*hour))
		})
	}
}

// Rule: the first root that is sound is begun with.
func TestBeginsWithAnyRoot(t *testing.T) {
	w, old := rotated(t)
	bad, good := []byte("{"), w.files["metadata/1.root.json"]
	empty := t.TempDir()
	if _, err := OpenAny(empty, day0, bad, nil, bad); err == nil {
		t.Error("it begins with somebody")
	}
	for dir, version := range map[string]int64{empty: 1, old.store.dir: 3} {
		trust, err := OpenAny(dir, day0, bad, nil, good)
		if err != nil || trust.root().md.Signed.Version != version {
			t.Errorf("%v, want root %d", err, version)
		}
	}
}

// Rule: where no root is kept either, nobody is trusted.
func TestBeginsWithNobody(t *testing.T) {
	w, old := rotated(t)
	for file, data := range files(t, old.store.dir) {
		if strings.HasSuffix(file, ".root.json") {
			write(t, filepath.Join(old.store.dir, file), data[:len(data)-1])
		}
	}
	for name, dir := range map[string]string{"damaged": old.store.dir, "empty": t.TempDir(), "no directory": filepath.Join(t.TempDir(), "none")} {
		if _, err := Open(dir, nil, day0); err == nil {
			t.Errorf("%s: it begins with somebody", name)
		}
	}
	w.believes(w.trusting(day0.Add(2*hour)), "two")
}

// Rule: an error of the disk is no damage. Nothing is set aside for it, neither
// the file nor what does not go with the rest; it is read with the next refresh.
func TestUnreadableIsNotDamaged(t *testing.T) {
	w, old := rotated(t)
	before := files(t, old.store.dir)
	for file := range before {
		for _, cause := range []error{syscall.EMFILE, syscall.EIO, syscall.ENOMEM} {
			sick := true
			s := store{dir: old.store.dir, readPlain: func(path string, max int64) ([]byte, error) {
				if sick && filepath.Base(path) == file {
					return nil, &os.PathError{Op: "read", Path: path, Err: cause}
				}
				return readPlain(path, max)
			}}
			trust, err := open(s, w.files["metadata/1.root.json"], day0)
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range before {
				if got, err := os.ReadFile(filepath.Join(s.dir, name)); err != nil || string(got) != string(data) {
					t.Fatalf("%s: %v: %s is another one: %v", file, cause, name, err)
				}
			}
			sick, w.asked = false, nil
			w.refresh(trust, day0.Add(hour))
			if w.fetched() || trust.root().md.Signed.Version != 3 || trust.floor.Issued != old.floor.Issued {
				t.Errorf("%s: %v: not read again: asked for %q", file, cause, w.asked)
			}
		}
	}
}

// Rule: what stays unreadable is fetched, and replaced.
func TestUnreadableForEver(t *testing.T) {
	w, old := rotated(t)
	for file := range files(t, old.store.dir) {
		s := store{dir: old.store.dir, readPlain: func(path string, max int64) ([]byte, error) {
			if filepath.Base(path) == file {
				return nil, syscall.EIO
			}
			return readPlain(path, max)
		}}
		trust, err := open(s, w.files["metadata/1.root.json"], day0)
		if err != nil {
			t.Fatal(err)
		}
		w.refresh(trust, day0.Add(2*hour))
		w.believes(trust, "two")
	}
	w.believes(w.open(old.store.dir), "two")
}

// Rule: what cannot be written costs no start; it is written once it can be.
func TestOpensOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	at := filepath.Join(t.TempDir(), "full")
	write(t, at, nil) // no directory can be made below a file
	trust := w.open(filepath.Join(at, "trust"))
	if _, err := trust.Refresh(day0, w.get); err == nil {
		t.Error("a refresh that kept nothing is no success")
	}
	w.believes(trust, "one")
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	w.refresh(trust, day0)
	if again := w.open(trust.store.dir); !again.whole() || again.floor.Walked.IsZero() {
		t.Error("it was never written")
	}
}
