package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"portward/internal/durable"
)

// A place is a live bundle and the copy of the seal of the one before it.
type place struct {
	t                   *testing.T
	dir, live, retained string
}

// newPlace has that bundle live and nothing retained.
func newPlace(t *testing.T, o Options) place {
	t.Helper()
	p := place{t: t, dir: t.TempDir()}
	p.live, p.retained = filepath.Join(p.dir, Name), filepath.Join(p.dir, "retained.json")
	p.build(p.live, o)
	return p
}

// of are a bundle's options: each program's bytes are its name and the text.
func of(t *testing.T, version, text string, names ...string) Options {
	o := Options{Programs: map[string]string{}, Plists: testPlists, Version: version}
	for _, name := range names {
		o.Programs[name] = program(t, name+" "+text)
	}
	return o
}

func (p place) build(dst string, o Options) {
	p.t.Helper()
	if _, err := BuildWith(dst, o); err != nil {
		p.t.Fatal(err)
	}
}

// exchange makes that bundle live, without a word to anybody.
func (p place) exchange(o Options) {
	p.t.Helper()
	staged := filepath.Join(p.dir, "staged")
	if err := durable.RemoveAll(staged); err != nil {
		p.t.Fatal(err)
	}
	p.build(staged, o)
	if err := os.Rename(p.live, filepath.Join(p.t.TempDir(), "old")); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(staged, p.live); err != nil {
		p.t.Fatal(err)
	}
}

// retain copies the live seal to where the retained one is.
func (p place) retain() {
	p.t.Helper()
	data, err := os.ReadFile(Layout(p.live).Seal())
	if err == nil {
		err = durable.Write(p.retained, data, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p place) open() *Known {
	p.t.Helper()
	k, err := OpenKnown(p.live, p.retained)
	if err != nil {
		p.t.Fatal(err)
	}
	return k
}

func wantKnown(t *testing.T, k *Known, text, id string) {
	t.Helper()
	if got, err := k.Identify(openFile(t, program(t, text))); err != nil || got != id {
		t.Fatalf("%q is %q, %v; want %s", text, got, err, id)
	}
}

func wantUnknown(t *testing.T, k *Known, text, says string) {
	t.Helper()
	if got, err := k.Identify(openFile(t, program(t, text))); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), says) {
		t.Fatalf("%q is %q, %v; want it unknown and %q named", text, got, err, says)
	}
}

const netchildID, agentID = "dev.portward.netchild", "dev.portward.guiagent"

// Rule: a program of neither bundle is unknown, and so is one of a bundle that
// is not retained.
func TestKnownRefusesStrangers(t *testing.T) {
	p := newPlace(t, of(t, "1.0.0", "one", "netchild"))
	k := p.open()
	p.exchange(of(t, "2.0.0", "two", "netchild"))
	wantKnown(t, k, "netchild two", netchildID)
	wantUnknown(t, k, "netchild one", "SHA-256")
	wantUnknown(t, k, "something else", "bytes")
	wantUnknown(t, k, "<plist/>", "bytes")
}

// Rule: a retained program is accepted as long as the live bundle bears its
// version, each by its own minimum.
func TestKnownMinimum(t *testing.T) {
	for name, c := range map[string]struct {
		version, minimum string
		says             string // empty: accepted
	}{
		"no minimum":              {"1.0.0", "", ""},
		"the very minimum":        {"1.0.0", "1.0.0", ""},
		"above":                   {"1.10.0", "1.9.0", ""},
		"below":                   {"1.9.0", "1.10.0", "older than 1.10.0"},
		"before the release":      {"1.0.0-rc.1", "1.0.0", "older than 1.0.0"},
		"no release at all":       {"devel", "0.0.1", "older than 0.0.1"},
		"no release, any allowed": {"devel", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, of(t, c.version, "one", "netchild", "guiagent"))
			p.retain()
			k := p.open()
			o := of(t, "2.0.0", "two", "netchild", "guiagent")
			o.Minimum = map[string]string{"guiagent": c.minimum}
			p.exchange(o)
			wantKnown(t, k, "guiagent two", agentID)
			wantKnown(t, k, "netchild one", netchildID) // of which nothing is said
			if c.says == "" {
				wantKnown(t, k, "guiagent one", agentID)
			} else {
				wantUnknown(t, k, "guiagent one", c.says)
			}
		})
	}
}

// Rule: what the live bundle has no more is no peer beside it.
func TestKnownRefusesWhatIsGone(t *testing.T) {
	p := newPlace(t, of(t, "1.0.0", "one", "netchild", "guiagent"))
	p.retain()
	k := p.open()
	p.exchange(of(t, "2.0.0", "two", "guiagent"))
	wantKnown(t, k, "guiagent two", agentID)
	wantKnown(t, k, "guiagent one", agentID)
	wantUnknown(t, k, "netchild one", "no program of 2.0.0")
}

// Rule: a minimum speaks of replaced programs, not of the bundle's own.
func TestKnownMinimumIsNotForTheLive(t *testing.T) {
	o := of(t, "1.0.0", "one", "guiagent")
	o.Minimum = map[string]string{"guiagent": "9.0.0"}
	p := newPlace(t, o)
	p.retain() // the same bytes in both
	wantKnown(t, p.open(), "guiagent one", agentID)
}

// Rule: exchanges there and back and what becomes of the retained copy are
// noticed by the first program that is unknown.
func TestKnownFollows(t *testing.T) {
	one, two := of(t, "1.0.0", "one", "netchild"), of(t, "2.0.0", "two", "netchild")
	p := newPlace(t, one)
	k := p.open()
	if k.Live().Version != "1.0.0" {
		t.Fatalf("live is %s", k.Live().Version)
	}
	p.retain()
	p.exchange(two)
	wantKnown(t, k, "netchild two", netchildID)
	if k.Live().Version != "2.0.0" {
		t.Fatalf("live is %s", k.Live().Version)
	}
	wantKnown(t, k, "netchild one", netchildID)
	p.retain()
	p.exchange(one)
	wantKnown(t, k, "netchild two", netchildID) // not yet looked at: known is known
	wantUnknown(t, k, "netchild six", "SHA-256")
	wantKnown(t, k, "netchild one", netchildID)
	wantKnown(t, k, "netchild two", netchildID) // retained now
	if err := durable.Remove(p.retained); err != nil {
		t.Fatal(err)
	}
	wantUnknown(t, k, "netchild six", "SHA-256")
	wantUnknown(t, k, "netchild two", "SHA-256")
	wantKnown(t, k, "netchild one", netchildID)
}

// Rule: what cannot be read leaves what was known, and is read when it can be.
func TestKnownKeepsWhatItKnew(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"torn":          func(path string) error { return durable.Write(path, []byte(`{"files":[`), 0o644) },
		"empty":         func(path string) error { return durable.Write(path, nil, 0o644) },
		"others' to do": func(path string) error { return os.Chmod(path, 0o666) },
		"a link":        func(path string) error { return moveAndLink(path, path+".elsewhere") },
		"a directory":   func(path string) error { return replace(path, func(p string) error { return os.Mkdir(p, 0o755) }) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, of(t, "1.0.0", "one", "netchild"))
			p.retain()
			p.exchange(of(t, "2.0.0", "two", "netchild"))
			k := p.open()
			for _, path := range []string{p.retained, Layout(p.live).Seal()} {
				if err := harm(path); err != nil {
					t.Fatal(err)
				}
				wantUnknown(t, k, "netchild six", "SHA-256")
				wantKnown(t, k, "netchild two", netchildID)
				wantKnown(t, k, "netchild one", netchildID)
			}
			p.exchange(of(t, "3.0.0", "three", "netchild"))
			wantKnown(t, k, "netchild three", netchildID)
			wantKnown(t, k, "netchild one", netchildID)
		})
	}
}

// Rule: without the live bundle's seal nobody is known; without the retained
// one, or with one that is no seal, those of the live one are.
func TestOpenKnown(t *testing.T) {
	p := newPlace(t, of(t, "1.0.0", "one", "netchild"))
	if err := durable.Write(p.retained, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	k := p.open()
	wantKnown(t, k, "netchild one", netchildID)
	p.retain()
	p.exchange(of(t, "2.0.0", "two", "netchild"))
	wantKnown(t, k, "netchild two", netchildID)
	wantKnown(t, k, "netchild one", netchildID)
	if err := durable.Remove(Layout(p.live).Seal()); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKnown(p.live, p.retained); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// Rule: a digest is of a file, whichever seals there are: it outlives them.
func TestKnownKeepsDigests(t *testing.T) {
	p := newPlace(t, of(t, "1.0.0", "one", "netchild"))
	k := p.open()
	f := openFile(t, program(t, "netchild two"))
	key, err := keyOf(f)
	if err != nil {
		t.Fatal(err)
	}
	k.digests.put(key, zeros) // what the file is remembered by
	p.exchange(of(t, "2.0.0", "two", "netchild"))
	if got, err := k.Identify(f); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), zeros) {
		t.Fatalf("the file was read again: %q, %v", got, err)
	}
	if k.Live().Version != "2.0.0" {
		t.Fatal("the seals were not")
	}
}

// Rule: many may ask while a bundle is replaced; if its seal was copied before
// the exchange, its programs are strange to nobody at any moment, and the new
// ones to nobody from then on.
func TestKnownIsShared(t *testing.T) {
	for range 5 {
		p := newPlace(t, of(t, "1.0.0", "one", "netchild"))
		staged := filepath.Join(p.dir, "staged")
		p.build(staged, of(t, "2.0.0", "two", "netchild"))
		k := p.open()
		old, new := openFile(t, program(t, "netchild one")), openFile(t, program(t, "netchild two"))
		var askers sync.WaitGroup
		for range 4 {
			askers.Go(func() {
				for _, err := k.Identify(new); err != nil; _, err = k.Identify(new) {
					if _, err := k.Identify(old); err != nil {
						t.Error(err)
						return
					}
				}
				for _, f := range []*os.File{old, new} {
					if _, err := k.Identify(f); err != nil {
						t.Error(err)
					}
				}
			})
		}
		p.retain()
		if err := os.Rename(p.live, filepath.Join(p.dir, "previous")); err != nil {
			t.Error(err)
		}
		if err := os.Rename(staged, p.live); err != nil {
			t.Error(err)
		}
		askers.Wait()
	}
}
