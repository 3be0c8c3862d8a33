package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"os"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/program"
	"portward/launchd"
)

// install makes the bundle under the root: the whole product, or, where there is
// a repository, the seed, which lacks netchild and waits for the first release.
func (w *world) install(ctx context.Context, from map[string]string) error {
	plists := w.plists
	if plists == nil {
		plists = launchd.Files()
	}
	if w.o.repo == "" {
		return installWhole(w.o.root, from, plists, w.show.say, w.host.settle)
	}
	w.show.say("making the seed: no netchild yet")
	from = maps.Clone(from)
	delete(from, "netchild")
	dir := program.BundleDir(w.o.root)
	if _, err := bundle.Build(dir, from, plists, seedVersion, nil); err != nil {
		return err
	}
	root, err := w.firstRoot(ctx)
	if err != nil {
		return errors.Join(err, durable.RemoveAll(dir)) // a seed that trusts nobody
	}
	return vouch(dir, map[string][]byte{"root.json": root})
}

// seedVersion is older than every release.
const seedVersion = "0.0.0-seed"

// installWhole makes the bundle, settled where it is, and vouched for by keys that
// nobody keeps.
func installWhole(root string, from map[string]string, plists fs.FS, progress func(string, ...any), settle func(*bundle.Seal) (*bundle.Seal, error)) error {
	progress("making the bundle")
	dir := program.BundleDir(root)
	seal, err := bundle.Build(dir, from, plists, program.Build(), nil)
	if err != nil {
		return err
	}
	if seal, err = settle(seal); err != nil {
		return err
	}
	files, err := throwAway(seal)
	if err != nil {
		return err
	}
	return vouch(dir, files)
}

// vouch lays signed metadata into the bundle at dir.
func vouch(dir string, files map[string][]byte) error {
	tuf := bundle.Layout(dir).Tuf()
	if err := durable.MkdirAll(tuf, 0o755); err != nil {
		return err
	}
	for name, data := range files {
		if err := durable.Write(tuf+"/"+name, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// proxy answers how the repository is reached: as --proxy says, else as the
// caller's environment does, of which no job gets anything.
func (w *world) proxy() (string, error) {
	if w.o.proxy != "" || w.o.repo == "" {
		return w.o.proxy, nil
	}
	r, err := http.NewRequest(http.MethodGet, w.o.repo, nil)
	if err != nil {
		return "", err
	}
	u, err := http.ProxyFromEnvironment(r)
	if u == nil || err != nil {
		return "", err
	}
	return u.String(), nil
}

// copyCA puts the authorities that are trusted to where the fetcher can read
// them, and answers its path.
func (w *world) copyCA() (string, error) {
	if w.o.ca == "" {
		return "", nil
	}
	pem, err := os.ReadFile(w.o.ca)
	if err != nil {
		return "", errors.Join(err, errors.New("hint: --ca names a PEM file"))
	}
	path := program.CAPath(w.o.root)
	return path, os.WriteFile(path, pem, 0o644)
}
