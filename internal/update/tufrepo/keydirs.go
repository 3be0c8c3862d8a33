package tufrepo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// KeyDirs are the directories of a publisher's keys, each on a medium of its
// own if they are to be worth anything.
type KeyDirs struct {
	Root    []string // three, with one key each
	Targets string
	Online  string // snapshot and timestamp
}

// A place is where a key belongs.
type place struct{ role, dir string }

// places are those that were told of.
func (d KeyDirs) places() []place {
	var all []place
	for _, dir := range d.Root {
		all = append(all, place{rootKey, dir})
	}
	all = append(all, place{targetsKey, d.Targets}, place{onlineKey, d.Online})
	return slices.DeleteFunc(all, func(p place) bool { return p.dir == "" })
}

// check says whether all five keys have a place.
func (d KeyDirs) check(repo string) error {
	switch {
	case len(d.Root) != rootKeys || slices.Contains(d.Root, ""):
		return fmt.Errorf("%d directories of root keys instead of %d", len(d.Root), rootKeys)
	case d.Targets == "":
		return errors.New("no directory of the targets key was given")
	case d.Online == "":
		return errors.New("no directory of the online key was given")
	}
	return d.apart(repo)
}

// apart refuses to make one medium of two, or to publish a key. A directory need
// not be there yet.
func (d KeyDirs) apart(repo string) error {
	seen := map[string]string{}
	for _, p := range d.places() {
		for other, dir := range seen {
			if same(p.dir, dir) {
				return fmt.Errorf("the %s key and %s would lie in one directory, %s", p.role, other, p.dir)
			}
		}
		if isBelow(repo, p.dir) {
			return fmt.Errorf("the %s key would be published: %s lies in %s", p.role, p.dir, repo)
		}
		seen[fmt.Sprintf("%s key %d", p.role, len(seen)+1)] = p.dir
	}
	return nil
}

// alone refuses a directory in which a key of another role lies, of which nobody
// may have told.
func alone(dir, role string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.key"))
	for _, path := range paths {
		if !strings.HasPrefix(filepath.Base(path), role+".") {
			return fmt.Errorf("the %s key would lie beside %s", role, path)
		}
	}
	return err
}

func same(a, b string) bool {
	if resolve(a) == resolve(b) {
		return true
	}
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

// isBelow says whether dir is repo or lies in it.
func isBelow(repo, dir string) bool {
	rel, err := filepath.Rel(resolve(repo), resolve(dir))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// resolve answers the path of dir, or of what it will be: links are followed as
// far as there is something.
func resolve(dir string) string {
	path, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolve(parent), filepath.Base(path))
	}
	return path
}
