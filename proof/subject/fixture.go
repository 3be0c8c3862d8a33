// Package subject knows how to install a release, with the product's own code
// and as others do it, and how to tell what a machine would find when it starts
// again. It must never know how the machine was stopped.
package subject

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing/fstest"
	"time"

	"portward/internal/bundle"
	"portward/internal/durable"
)

// What may lie at the live path.
const (
	Seed = "seed" // a bundle without netchild, which is to fetch the rest
	Old  = "old"
	New  = "new"
)

// Proved is the promise that the new bundle lies there and has passed its trial.
// Before it, a new bundle that is found must be on trial.
const Proved = "new+proved"

// Unsure binds nothing: an act that failed may have gone anywhere first.
const Unsure = "?"

var versions = map[string]string{Seed: "0.9.0", Old: "1.0.0", New: "1.0.1"}

// A Fixture is a directory with the bundles that everything here is about.
type Fixture struct {
	Patience time.Duration // how long a supervisor may take to come to rest

	dir      string
	seals    map[string]string // hash of a seal -> which bundle
	contents map[string]string // SHA-256 of a file -> where it lies
}

// Make builds the bundles below dir. Their programs are scripts that say their
// version, of sizes that make a disk work: several writes, one tail.
func Make(dir string) (*Fixture, error) {
	for which := range versions {
		if err := makeBundle(dir, which); err != nil {
			return nil, err
		}
	}
	return Load(dir)
}

func makeBundle(dir, which string) error {
	programs := map[string]string{}
	for name, size := range map[string]int{"supervisor": 61_000, "netchild": 90_001, "guiagent": 8192, "portward": 20_000} {
		if which == Seed && name == "netchild" {
			continue
		}
		says := versions[which]
		if name == "guiagent" {
			says = "the same in all"
		}
		programs[name] = filepath.Join(dir, which+"-"+name)
		if err := os.WriteFile(programs[name], script(says, size), 0o755); err != nil {
			return err
		}
	}
	plists := fstest.MapFS{
		"LaunchDaemons/dev.portward.supervisor.plist": {Data: []byte("<plist/>")},
		"LaunchAgents/dev.portward.guiagent.plist":    {Data: []byte("<plist/>")},
	}
	at := filepath.Join(dir, which, bundle.Name)
	if _, err := bundle.Build(at, programs, plists, versions[which], nil); err != nil {
		return err
	}
	return layVouchers(at)
}

// layVouchers puts the files into a bundle that vouch for its seal.
func layVouchers(at string) error {
	layout := bundle.Layout(at)
	root, targets := vouch()
	if err := durable.MkdirAll(layout.Tuf(), 0o755); err != nil {
		return err
	}
	return errors.Join(
		durable.Write(filepath.Join(layout.Tuf(), "root.json"), root, 0o644),
		durable.Write(filepath.Join(layout.Tuf(), "targets.json"), targets, 0o644))
}

// script is a program of size bytes, no two blocks of which are alike.
func script(says string, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "#!/bin/sh\necho %s\nexit 0\n", says)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "# %s %d\n", says, i)
	}
	return b.Bytes()[:size]
}

// Load answers the fixture that Make left in dir.
func Load(dir string) (*Fixture, error) {
	f := &Fixture{Patience: time.Minute, dir: dir, seals: map[string]string{}, contents: map[string]string{}}
	for which := range versions {
		seal, err := bundle.Verify(f.bundle(which))
		if err != nil {
			return nil, err
		}
		f.seals[seal.Hash()] = which
		for _, e := range seal.Entries {
			f.contents[e.SHA256] = filepath.Join(f.bundle(which), e.Path)
		}
	}
	return f, nil
}

func (f *Fixture) bundle(which string) string { return filepath.Join(f.dir, which, bundle.Name) }

func live(root string) string { return filepath.Join(root, bundle.Name) }

// Faults that a power cut must not be able to make.
var (
	ErrMissing = errors.New("nothing at the live path")
	ErrTorn    = errors.New("no whole bundle at the live path")
	ErrStart   = errors.New("the next start does not run")
	ErrLost    = errors.New("what was reported done is undone")
	ErrUntried = errors.New("a release is trusted that was not proved")
	ErrStuck   = errors.New("the next start does not bring it to an end")
)

// Named answers the subject of that name.
func (f *Fixture) Named(name string) (Subject, error) {
	if slices.Contains(Engine, name) {
		return f.engine(name)
	}
	return f.pattern(name)
}

// A Subject is one way to bring a release into place.
type Subject interface {
	// Prepare lays out the machine before the release.
	Prepare(root string) error
	// Act installs it. promise is called at once when it has reported that from
	// now on there is nothing but this bundle to be found at the live path, or
	// that it is Proved.
	Act(root string, promise func(which string)) error
	// Start is what the next start does before anything else. proved: what lies
	// there may have passed its trial.
	Start(root string, proved bool) error
	// Resume goes on from there, undisturbed, and answers what must lie at the
	// live path in the end.
	Resume(root string) (which string, err error)
}

// Check says which bundle the next start finds and runs. It must be whole before
// that start has repaired anything, and after it.
func (f *Fixture) Check(root string, s Subject, promise string) (string, error) {
	found, err := f.look(root)
	if err != nil {
		return "", err
	}
	proved := promise == Proved || promise == Unsure
	promise = map[string]string{Old: Old, New: New, Proved: New}[promise]
	if err := s.Start(root, proved); err != nil {
		return "", fmt.Errorf("%w: %w", ErrStart, err)
	}
	which, err := f.look(root)
	if err != nil {
		return "", fmt.Errorf("after the next start: %w", err)
	}
	if err := f.run(root, which); err != nil {
		return "", fmt.Errorf("%w: %w", ErrStart, err)
	}
	if promise != "" && (found != promise || which != promise) {
		return "", fmt.Errorf("%w: %s was promised, found %s, then %s", ErrLost, promise, found, which)
	}
	return which, nil
}

// Converge is for after Check: left alone, the machine reaches what it was
// going to, be it at the third attempt.
func (f *Fixture) Converge(root string, s Subject) error {
	want, err := s.Resume(root)
	for tries := 1; err != nil && tries < 3; tries++ {
		want, err = s.Resume(root)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStuck, err)
	}
	if got, err := f.look(root); err != nil || got != want {
		return fmt.Errorf("%w: %s at the live path (%v), not %s", ErrStuck, got, err, want)
	}
	return nil
}

// look reads everything that lies at the live path.
func (f *Fixture) look(root string) (string, error) {
	seal, err := bundle.Verify(live(root))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(live(root)); err != nil {
			return "", fmt.Errorf("%w: %w", ErrMissing, err)
		}
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrTorn, err)
	}
	which, known := f.seals[seal.Hash()]
	if !known {
		return "", fmt.Errorf("%w: a bundle that nobody made, version %s", ErrTorn, seal.Version)
	}
	return which, nil
}

func (f *Fixture) run(root, which string) error {
	out, err := exec.Command(bundle.Layout(live(root)).Program("supervisor")).Output()
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(out)); got != versions[which] {
		return fmt.Errorf("the supervisor of version %s says %q", versions[which], got)
	}
	return nil
}
