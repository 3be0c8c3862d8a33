package tufrepo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Rule: two keys never lie on one medium, by whatever name it is called, nor in
// what is published.
func TestInitRefusesOneDirectoryForTwoKeys(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(p *publisher){
		"two roots":         func(p *publisher) { p.d.Root[2] = p.d.Root[0] + "/." },
		"a link to another": func(p *publisher) { link(p.t, p.d.Root[0], p.d.Root[1]) },
		"targets and root":  func(p *publisher) { p.d.Targets = p.d.Root[1] },
		"online and root":   func(p *publisher) { link(p.t, p.d.Root[2], p.d.Online) },
		"online, targets":   func(p *publisher) { p.d.Online = p.d.Targets },
		"published":         func(p *publisher) { p.d.Online = filepath.Join(p.dir, "keys") },
		"the repository":    func(p *publisher) { p.d.Online = p.dir },
		"two directories":   func(p *publisher) { p.d.Root = p.d.Root[:2] },
		"none for targets":  func(p *publisher) { p.d.Targets = "" },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t)
			spoil(p)
			if err := InitKeys(p.dir, p.d, p.pass, day0); err == nil {
				t.Fatal("it was done")
			}
			p.hasNothing()
		})
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := errors.Join(os.Mkdir(to, 0o700), os.Symlink(to, name)); err != nil {
		t.Fatal(err)
	}
}

// hasNothing says that there is neither key nor metadata.
func (p *publisher) hasNothing() {
	p.t.Helper()
	err := filepath.WalkDir(filepath.Dir(p.dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = fmt.Errorf("%s was left", path)
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// Rule: a root key has a passphrase or there is none; and whatever goes wrong,
// nothing half made is left.
func TestInitLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	broken := errors.New("the terminal went away")
	for name, pass := range map[string]func(role, path string) ([]byte, error){
		"no passphrase":    func(role, path string) ([]byte, error) { return nil, nil },
		"an empty one":     func(role, path string) ([]byte, error) { return []byte{}, nil },
		"the third breaks": func(role, path string) ([]byte, error) { return []byte("x"), ifIn(path, "/r3/", broken) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t)
			if err := InitKeys(p.dir, p.d, pass, day0); err == nil {
				t.Fatal("it was done")
			}
			p.hasNothing()
		})
	}
}

func ifIn(path, part string, err error) error {
	if strings.Contains(path, part) {
		return err
	}
	return nil
}

// Rule: keys and repositories that are there stay what they are; private keys
// are for their owner, and only the online one lies open.
func TestInit(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	if err := InitKeys(p.dir, p.d, p.pass, day0); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, place := range p.d.places() {
		path := filepath.Join(place.dir, place.role+".key")
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Fatal(info.Mode(), err)
		}
		before[path] = string(read(t, path))
		if isOpen := strings.Contains(before[path], `"private"`); isOpen != (place.role == "online") {
			t.Errorf("%s: private bytes in the open: %v", path, isOpen)
		}
	}
	if InitKeys(p.dir, p.d, p.pass, day0) == nil || InitKeys(p.dir+"2", p.d, p.pass, day0) == nil {
		t.Fatal("it was done again")
	}
	for path, want := range before {
		if string(read(t, path)) != want {
			t.Fatalf("%s changed", path)
		}
	}
	for name := range files(t, filepath.Join(p.dir, "metadata")) {
		if info, err := os.Stat(filepath.Join(p.dir, "metadata", name)); err != nil || info.Mode() != 0o644 {
			t.Fatalf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if got := p.open().Expiries(); len(got) != 4 || !got[0].Expires.Equal(day0.Add(rootLife)) || !got[3].Expires.Equal(day0.Add(timestampLife)) {
		t.Fatalf("%v", got)
	}
}
