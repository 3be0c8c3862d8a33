package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/program"
	"portward/internal/update/fetch"
	"portward/internal/update/tufrepo"
	"portward/launchd"
)

// install makes the bundle under the root: the whole product, or, where there is
// a repository, the seed, which lacks netchild and waits for the first release.
func (w *world) install(from map[string]string) error {
	plists := w.plists
	if plists == nil {
		plists = launchd.Files()
	}
	if w.o.repo == "" {
		return installWhole(w.o.root, from, plists, w.show.say)
	}
	root, err := w.firstRoot()
	if err != nil {
		return err
	}
	w.show.say("making the seed: no netchild yet")
	from = maps.Clone(from)
	delete(from, "netchild")
	dir := program.BundleDir(w.o.root)
	if _, err := bundle.Build(dir, from, plists, seedVersion, nil); err != nil {
		return err
	}
	return vouch(dir, map[string][]byte{"root.json": root})
}

// seedVersion is older than every release.
const seedVersion = "0.0.0-seed"

// installWhole makes the bundle, vouched for by keys that nobody keeps.
func installWhole(root string, from map[string]string, plists fs.FS, progress func(string, ...any)) error {
	progress("making the bundle")
	dir := program.BundleDir(root)
	seal, err := bundle.Build(dir, from, plists, program.Build(), nil)
	if err != nil {
		return err
	}
	minted, err := tufrepo.ThrowAway(time.Now())
	if err != nil {
		return err
	}
	data, err := seal.Bytes()
	if err != nil {
		return err
	}
	rootJSON, targets, err := minted.Vouch(data)
	if err != nil {
		return err
	}
	return vouch(dir, map[string][]byte{"root.json": rootJSON, "targets.json": targets})
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

// maxRoot bounds a root's metadata, in bytes.
const maxRoot = 512 << 10

// firstRoot answers the metadata with which trust begins: the file that --trust
// names, or what the repository says of itself the first time it is asked.
func (w *world) firstRoot() ([]byte, error) {
	if w.o.trust != "" {
		return os.ReadFile(w.o.trust)
	}
	w.show.say("asking %s for its keys", w.o.repo)
	f, err := fetch.New(fetch.Config{Repo: w.o.repo, CA: w.o.ca, Proxy: w.o.proxy, Cache: filepath.Join(w.o.root, "build"), Version: program.Build(), Log: w.show.note})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	root, err := f.Get("metadata/1.root.json", maxRoot, "")
	if err != nil {
		return nil, fmt.Errorf("the repository %s: %w\nhint: is it there, and was it made by portward keys init and portward publish?", w.o.repo, err)
	}
	sum := sha256.Sum256(root)
	w.show.say("trusting the keys of %s as it shows them now (1.root.json, SHA-256 %s); --trust FILE pins them", w.o.repo, fmt.Sprintf("%x", sum[:8]))
	return root, nil
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
