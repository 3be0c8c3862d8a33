package subject

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"portward/internal/bundle"
	"portward/internal/durable"
)

// Names of subjects that are not the product's engine.
const (
	Plain   = "durable"      // the order of internal/durable, and nothing else
	NoSync  = "no fsync"     // a common pattern: write, rename, done
	NoDir   = "no dir fsync" // the files are synced, the exchange is not
	TwoStep = "two renames"  // the live bundle is moved away, then the new one in
)

// Controls are the common patterns, each with the fault that it must show: a
// proof that does not see it proves nothing.
var Controls = map[string]error{NoSync: ErrTorn, NoDir: ErrLost, TwoStep: ErrMissing}

// Careless says whether the subject of that name leaves the disk to itself.
func Careless(name string) bool { return name == NoSync || name == NoDir }

// A pattern is copy, exchange, remove: with or without each fsync.
type pattern struct {
	f       *Fixture
	name    string
	syncs   bool // of files and directories
	syncDir bool // of the directory in which the names were exchanged
}

func (f *Fixture) pattern(name string) (Subject, error) {
	switch name {
	case Plain:
		return pattern{f, name, true, true}, nil
	case NoSync:
		return pattern{f, name, false, false}, nil
	case NoDir:
		return pattern{f, name, true, false}, nil
	case TwoStep:
		return pattern{f, name, true, true}, nil
	}
	return nil, errors.New("no such subject: " + name)
}

func (p pattern) Prepare(root string) error {
	if err := durable.MkdirAll(filepath.Join(root, "update/staging"), 0o700); err != nil {
		return err
	}
	return copyTree(p.f.bundle(Old), live(root), true)
}

func (p pattern) Act(root string, promise func(string)) error {
	staged := filepath.Join(root, "update/staging", bundle.Name)
	if err := durable.RemoveAll(staged); err != nil {
		return err
	}
	if err := copyTree(p.f.bundle(New), staged, p.syncs); err != nil {
		return err
	}
	if _, err := bundle.Verify(staged); err != nil {
		return err
	}
	if err := p.swap(staged, live(root)); err != nil {
		return err
	}
	promise(New)
	return p.after(root, staged)
}

func (p pattern) swap(staged, live string) error {
	switch {
	case p.name == TwoStep:
		away := filepath.Join(filepath.Dir(staged), "away")
		if err := durable.Rename(live, away); err != nil {
			return err
		}
		return errors.Join(durable.Rename(staged, live), durable.RemoveAll(away))
	case p.syncDir:
		return durable.Exchange(live, staged)
	default:
		return exchangeOnly(staged, live)
	}
}

// after removes the old bundle. Where the pattern syncs nothing, somebody else
// on the machine syncs a file of his own: that is what commits the journal.
func (p pattern) after(root, staged string) error {
	if p.syncs && p.syncDir {
		return durable.RemoveAll(staged)
	}
	return durable.Write(filepath.Join(root, "somebody-elses"), []byte("x"), 0o644)
}

func (p pattern) Resume(root string) (string, error) {
	which, err := p.f.look(root)
	if err == nil && which != New {
		err = p.Act(root, func(string) {})
	}
	return New, err
}

func (p pattern) Start(root string, _ bool) error {
	return durable.RemoveAll(filepath.Join(root, "update/staging", bundle.Name))
}

// copyTree copies a bundle, with every fsync or with none.
func copyTree(from, to string, syncs bool) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return copyOne(path, filepath.Join(to, rel), info.Mode(), syncs)
	})
}

func copyOne(from, to string, mode fs.FileMode, syncs bool) error {
	if mode.IsDir() && syncs {
		return durable.MkdirAll(to, mode)
	}
	if mode.IsDir() {
		return os.MkdirAll(to, mode.Perm())
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if syncs {
		return durable.Write(to, data, mode)
	}
	return os.WriteFile(to, data, mode.Perm())
}
