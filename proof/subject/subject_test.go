package subject

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portward/internal/bundle"
)

func fixture(t *testing.T) *Fixture {
	t.Helper()
	f, err := Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Rule: undisturbed, every subject brings its release to an end, says so once
// it is there, and the next start finds that bundle and runs it.
func TestUndisturbed(t *testing.T) {
	f := fixture(t)
	for _, name := range append([]string{Plain, NoSync, NoDir, TwoStep}, Engine...) {
		t.Run(name, func(t *testing.T) {
			s, err := f.Named(name)
			if err != nil {
				t.Fatal(err)
			}
			root, promised := t.TempDir(), ""
			if err := s.Prepare(root); err != nil {
				t.Fatal("preparing: ", err)
			}
			if err := s.Act(root, func(which string) { promised = which }); err != nil {
				t.Fatal("acting: ", err)
			}
			if promised == "" {
				t.Error("it never said that it was done")
			}
			if which, err := f.Check(root, s, promised); err != nil || which != strings.TrimSuffix(promised, "+proved") {
				t.Errorf("found %s, %v, after %s was promised", which, err, promised)
			}
			if err := f.Converge(root, s); err != nil {
				t.Error(err)
			}
		})
	}
}

// Rule: the check sees each kind of harm.
func TestCheckSees(t *testing.T) {
	f := fixture(t)
	s, err := f.Named(Plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		harm    func(root string) error
		promise string
		want    error
	}{
		"nothing there": {func(root string) error { return os.RemoveAll(live(root)) }, "", ErrMissing},
		"an empty program": {func(root string) error {
			return os.Truncate(bundle.Layout(live(root)).Program("netchild"), 0)
		}, "", ErrTorn},
		"no seal":                       {func(root string) error { return os.Remove(bundle.Layout(live(root)).Seal()) }, "", ErrTorn},
		"a file more":                   {func(root string) error { return os.WriteFile(filepath.Join(live(root), "x"), nil, 0o644) }, "", ErrTorn},
		"not the one that was promised": {func(string) error { return nil }, New, ErrLost},
		"a start that cannot tidy up": {func(root string) error {
			return errors.Join(os.RemoveAll(filepath.Join(root, "update")), os.WriteFile(filepath.Join(root, "update"), nil, 0o600))
		}, "", ErrStart},
	} {
		root := t.TempDir()
		if err := errors.Join(s.Prepare(root), c.harm(root)); err != nil {
			t.Fatal(err)
		}
		if which, err := f.Check(root, s, c.promise); !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v; want %v", name, which, err, c.want)
		}
	}
}

// Rule: a release that nobody proved must be on trial after the next start.
func TestCheckSeesUntried(t *testing.T) {
	f := fixture(t)
	s, err := f.Named(Update)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := errors.Join(s.Prepare(root), s.Act(root, func(string) {})); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Check(root, s, New); !errors.Is(err, ErrUntried) {
		t.Errorf("committed, but nobody said that it was proved: %v", err)
	}
}
