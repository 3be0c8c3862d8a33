package tufrepo

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"portward/internal/durable"
	"portward/internal/update/pipe"
)

// Repo is a repository that its publisher opened. One process at a time may
// change it. After an error of Publish or Resign it must be opened anew.
type Repo struct {
	mint  *mint
	roots []held[metadata.RootType] // oldest first
	dir   string
	keys  KeyDirs
	pass  Pass
}

// OpenRepo reads the repository below dir and checks it as a client would,
// expiry aside: what somebody else put there is never signed. Keys are looked
// for, and passphrases asked, when they are needed.
func OpenRepo(dir string, d KeyDirs, pass Pass) (*Repo, error) {
	r := &Repo{mint: &mint{}, dir: dir, keys: d, pass: pass}
	if err := r.loadRoots(); err != nil {
		return nil, err
	}
	if err := r.loadState(); err != nil {
		return nil, err
	}
	r.mint.root = r.roots[len(r.roots)-1].md
	r.mint.proofs = [][]byte{r.roots[len(r.roots)-1].raw}
	r.mint.onDisk(dir)
	return r, nil
}

func (r *Repo) read(file string, max int64) ([]byte, error) {
	return readPlain(filepath.Join(r.dir, inRepo(file)), max)
}

func (r *Repo) loadRoots() error {
	for n := int64(1); ; n++ {
		file := versioned(n, metadata.ROOT)
		if n > 1 && !exists(filepath.Join(r.dir, inRepo(file))) {
			return nil
		}
		raw, err := r.read(file, maxRoot)
		if err != nil {
			return err
		}
		md, err := parse[metadata.RootType](raw)
		if err == nil && n == 1 {
			err = md.VerifyDelegate(metadata.ROOT, md)
		} else if err == nil {
			_, err = nextRoot(r.roots[n-2], raw)
		}
		if err != nil {
			return refuse(inRepo(file), err)
		}
		r.roots = append(r.roots, held[metadata.RootType]{raw, md})
	}
}

// loadState reads what the newest root stands behind. A rotation that was
// stopped after its root was written leaves a state of the root before.
func (r *Repo) loadState() error {
	timestamp, err := r.read(timestampFile, maxTimestamp)
	if err != nil {
		return err
	}
	top, err := parse[metadata.TimestampType](timestamp)
	if err != nil {
		return refuse(inRepo(timestampFile), err)
	}
	snapshot, err := r.read(versioned(top.Signed.Meta["snapshot.json"].Version, metadata.SNAPSHOT), maxSnapshot)
	if err != nil {
		return err
	}
	middle, err := parse[metadata.SnapshotType](snapshot)
	if err != nil {
		return refuse("metadata/snapshot.json", err)
	}
	targets, err := r.read(versioned(middle.Signed.Meta["targets.json"].Version, metadata.TARGETS), maxTargets)
	if err != nil {
		return err
	}
	for i := len(r.roots) - 1; i >= max(0, len(r.roots)-2); i-- {
		rules, wrong := check(r.roots[i].raw, timestamp, snapshot, targets, time.Time{})
		if wrong == nil {
			m := r.mint
			m.timestamp, m.snapshot, m.targets, m.targetsRaw = rules.Timestamp, rules.Snapshot, rules.Targets[metadata.TARGETS], targets
			return nil
		}
		err = errors.Join(err, wrong)
	}
	return fmt.Errorf("the repository's own metadata: %w", err)
}

// onDisk has the mint work on static files.
func (m *mint) onDisk(dir string) {
	m.has = func(name string) bool { return exists(filepath.Join(dir, name)) }
	m.holds = func(name string, data []byte) bool {
		there, err := readPlain(filepath.Join(dir, name), int64(len(data)))
		return err == nil && bytes.Equal(there, data)
	}
	m.put = func(name string, data []byte) error {
		path := filepath.Join(dir, name)
		if err := durable.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return durable.Write(path, data, 0o644)
	}
}

// Targets answers what is published now.
func (r *Repo) Targets() map[string]pipe.Target { return r.mint.list() }

// Unlock gets the keys that Publish needs, the targets' and the online key, unless
// it has them. What goes wrong with a passphrase goes wrong here.
func (r *Repo) Unlock() error {
	if r.mint.targetsKeys != nil && r.mint.onlineKeys != nil {
		return nil
	}
	targets, err := r.key(targetsKey, r.keys.Targets, metadata.TARGETS)
	if err != nil {
		return err
	}
	online, err := r.key(onlineKey, r.keys.Online, metadata.TIMESTAMP)
	if err != nil {
		return err
	}
	r.mint.targetsKeys, r.mint.onlineKeys = targets, online
	return nil
}

// Publish adds or replaces targets and removes others, and signs everything
// below root anew; with nothing to change it renews the dates.
func (r *Repo) Publish(set map[string]NewTarget, remove []string, now time.Time) error {
	if err := r.Unlock(); err != nil {
		return err
	}
	return r.mint.publish(set, remove, now)
}

// Resign signs snapshot and timestamp anew, which a machine does daily. Only
// the online key is needed.
func (r *Repo) Resign(now time.Time) (err error) {
	if r.mint.onlineKeys, err = r.key(onlineKey, r.keys.Online, metadata.TIMESTAMP); err != nil {
		return err
	}
	return r.mint.attest(r.mint.targetsRaw, now)
}

// key answers the one key of a role that is in force.
func (r *Repo) key(name, dir, role string) ([]ed25519.PrivateKey, error) {
	if dir == "" {
		return nil, fmt.Errorf("no directory of the %s key was given", name)
	}
	path, _, f, err := findKey(dir, name, r.mint.root.Signed.Roles[role].KeyIDs)
	if err != nil {
		return nil, err
	}
	key, err := f.unlock(path, name, r.pass)
	return []ed25519.PrivateKey{key}, err
}

// Expiries answers when each role's metadata ends, root first.
func (r *Repo) Expiries() []Expiry { return r.mint.expiries() }

// A Stand is how far a repository has come, as machines remember it.
type Stand struct {
	Root    int64  `json:"root"`    // the newest root's version
	Targets int64  `json:"targets"` // the version of targets
	Online  string `json:"online"`  // the keys of snapshot and timestamp; with others machines forget the version of targets
}

// IsBehind says whether this is an older copy of a repository that stood there.
func (s Stand) IsBehind(known Stand) bool {
	return s.Root < known.Root || s.Online == known.Online && s.Targets < known.Targets
}

// Stand answers how far this repository has come.
func (r *Repo) Stand() Stand {
	var ids []string
	for _, role := range []string{metadata.SNAPSHOT, metadata.TIMESTAMP} {
		ids = append(ids, slices.Sorted(slices.Values(r.mint.root.Signed.Roles[role].KeyIDs))...)
	}
	return Stand{r.mint.root.Signed.Version, r.mint.targets.Signed.Version, hashOf([]byte(strings.Join(ids, " ")))}
}
