package tufrepo

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Rotate makes new keys and the root that brings them, signed by two of the
// root keys there were and two of those there are. role is "targets", "online",
// "root" for all three root keys, or the directory of the one root key to
// replace. The old key of the role need not be there.
//
// While it is there, no client sees a state that it cannot check: what the role
// signs is signed by both keys and published before the root. Without it, the
// root is published first, and a client that comes in between tries later.
func Rotate(repo string, d KeyDirs, role string, pass Pass, now time.Time) error {
	r, err := openApart(repo, d, pass)
	if err != nil {
		return err
	}
	next, err := r.mint.successor(now)
	if err != nil {
		return err
	}
	switch role {
	case targetsKey:
		return r.rotateRole(next, targetsKey, d.Targets, now, metadata.TARGETS)
	case onlineKey:
		return r.rotateRole(next, onlineKey, d.Online, now, metadata.SNAPSHOT, metadata.TIMESTAMP)
	case rootKey:
		return r.rotateRoot(next, d.Root)
	}
	if i := slices.IndexFunc(d.Root, func(dir string) bool { return filepath.Clean(dir) == filepath.Clean(role) }); i >= 0 {
		return r.rotateRoot(next, d.Root[i:i+1])
	}
	return fmt.Errorf("%q is neither root, targets or online nor a directory of a root key", role)
}

// Renew makes the next root with the same keys and a new date.
func Renew(repo string, d KeyDirs, pass Pass, now time.Time) error {
	r, err := openApart(repo, d, pass)
	if err != nil {
		return err
	}
	next, err := r.mint.successor(now)
	if err != nil {
		return err
	}
	return r.signRoot(next, nil, nil)
}

// openApart is OpenRepo for who may make keys, or signs with several.
func openApart(repo string, d KeyDirs, pass Pass) (*Repo, error) {
	if err := d.apart(repo); err != nil {
		return nil, err
	}
	return OpenRepo(repo, d, pass)
}

// rotateRoot replaces the root keys of these directories.
func (r *Repo) rotateRoot(next *metadata.Metadata[metadata.RootType], dirs []string) error {
	gone, err := r.rootIDs(dirs)
	if err != nil {
		return err
	}
	signers, err := r.rootSigners(dirs)
	if err != nil {
		return err
	}
	var made []ed25519.PrivateKey
	for _, dir := range dirs {
		key, _, err := newKey(dir, rootKey, next.Signed.Version, r.pass)
		if err == nil {
			err = grant(next, metadata.ROOT, publicOf(key))
		}
		if err != nil {
			return err
		}
		made = append(made, key)
	}
	if err := replace(next, metadata.ROOT, gone); err != nil {
		return err
	}
	return r.signRoot(next, signers, made)
}

// rootIDs are the ids of the root keys of these directories. One key that no
// directory holds is the lost one of the directory without one.
func (r *Repo) rootIDs(dirs []string) ([]string, error) {
	all := r.mint.root.Signed.Roles[metadata.ROOT].KeyIDs
	if len(dirs) == len(r.keys.Root) {
		return slices.Clone(all), nil
	}
	lost := slices.Clone(all)
	var ids []string
	for _, dir := range r.keys.Root {
		_, id, _, err := findKey(dir, rootKey, all)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		lost = slices.DeleteFunc(lost, func(l string) bool { return l == id })
		if err == nil && slices.Contains(dirs, dir) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 && len(lost) == 1 {
		return lost, nil
	}
	if len(ids) != len(dirs) {
		return nil, fmt.Errorf("which key is to be replaced? %d root keys are in no directory given", len(lost))
	}
	return ids, nil
}

// rootSigners unlocks root keys until they are enough, those of these
// directories last. A missing key or passphrase costs that key only.
func (r *Repo) rootSigners(last []string) ([]ed25519.PrivateKey, error) {
	role := r.mint.root.Signed.Roles[metadata.ROOT]
	dirs := slices.Clone(r.keys.Root)
	slices.SortStableFunc(dirs, func(a, b string) int {
		return rank(slices.Contains(last, a)) - rank(slices.Contains(last, b))
	})
	var keys []ed25519.PrivateKey
	var missing error
	for _, dir := range dirs {
		if len(keys) == role.Threshold {
			break
		}
		path, _, f, err := findKey(dir, rootKey, role.KeyIDs)
		var key ed25519.PrivateKey
		if err == nil {
			key, err = f.unlock(path, rootKey, r.pass)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLocked):
			missing = errors.Join(missing, err)
		case err != nil:
			return nil, err
		default:
			keys = append(keys, key)
		}
	}
	if len(keys) < role.Threshold {
		return nil, fmt.Errorf("%d of the %d root keys needed: %w", len(keys), role.Threshold, missing)
	}
	return keys, nil
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// signRoot publishes the next root, signed by what signers were unlocked before
// (nil: they are now) and by new ones.
func (r *Repo) signRoot(next *metadata.Metadata[metadata.RootType], signers, made []ed25519.PrivateKey) (err error) {
	if signers == nil {
		if signers, err = r.rootSigners(nil); err != nil {
			return err
		}
	}
	raw, err := r.mint.adopt(next, append(signers, made...))
	if err != nil {
		return err
	}
	return r.mint.putRoot(next, raw)
}

// rotateRole replaces the one key of targets, or of snapshot and timestamp.
func (r *Repo) rotateRole(next *metadata.Metadata[metadata.RootType], name, dir string, now time.Time, roles ...string) error {
	old, err := r.key(name, dir, roles[0])
	if isLost := errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLocked); err != nil && !isLost {
		return err
	} else if isLost {
		old = nil
	}
	signers, err := r.rootSigners(nil)
	if err != nil {
		return err
	}
	if err := r.otherKey(name); err != nil {
		return err
	}
	key, _, err := newKey(dir, name, next.Signed.Version, r.pass)
	if err != nil {
		return err
	}
	for _, role := range roles {
		if err := replace(next, role, slices.Clone(next.Signed.Roles[role].KeyIDs), publicOf(key)); err != nil {
			return err
		}
	}
	raw, err := r.mint.adopt(next, signers)
	if err != nil {
		return err
	}
	if old == nil {
		return r.handOver(next, raw, name, []ed25519.PrivateKey{key}, now)
	}
	r.mint.proofs = append(r.mint.proofs, raw)
	if err := r.resignAs(name, append(old, key), now); err != nil {
		return err
	}
	return r.mint.putRoot(next, raw)
}

// otherKey unlocks the online key that a new targets key needs beside it.
func (r *Repo) otherKey(name string) (err error) {
	if name == targetsKey {
		r.mint.onlineKeys, err = r.key(onlineKey, r.keys.Online, metadata.TIMESTAMP)
	}
	return err
}

// handOver publishes the root first: nothing that the lost key signed counts.
func (r *Repo) handOver(next *metadata.Metadata[metadata.RootType], raw []byte, name string, keys []ed25519.PrivateKey, now time.Time) error {
	if err := r.mint.putRoot(next, raw); err != nil {
		return err
	}
	r.mint.proofs = [][]byte{raw}
	return r.resignAs(name, keys, now)
}

// resignAs signs anew what a role signs, and what lists that.
func (r *Repo) resignAs(name string, keys []ed25519.PrivateKey, now time.Time) error {
	if name == targetsKey {
		r.mint.targetsKeys = keys
		return r.mint.publish(nil, nil, now)
	}
	r.mint.onlineKeys = keys
	return r.mint.attest(r.mint.targetsRaw, now)
}
