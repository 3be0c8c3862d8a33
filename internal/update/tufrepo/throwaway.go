package tufrepo

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"portward/internal/update/pipe"
)

// Minted is a whole repository in memory, with keys that nobody ever sees: for
// a product that runs without a repository, and for tests.
type Minted struct {
	mint  *mint
	files map[string][]byte
	root  []byte
	now   time.Time
}

// ThrowAway makes one, with a root of a single key.
func ThrowAway(now time.Time) (*Minted, error) {
	var keys [3]ed25519.PrivateKey
	for i := range keys {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		keys[i] = key
	}
	m, err := found([]ed25519.PublicKey{publicOf(keys[0])}, 1, publicOf(keys[1]), publicOf(keys[2]), now)
	if err != nil {
		return nil, err
	}
	m.targetsKeys, m.onlineKeys = keys[1:2], keys[2:]
	root, err := sign(m.root, keys[:1])
	if err != nil {
		return nil, err
	}
	t := &Minted{mint: m, files: map[string][]byte{inRepo(versioned(1, metadata.ROOT)): root}, root: root, now: now}
	m.proofs = [][]byte{root}
	m.has = func(name string) bool { return t.files[name] != nil }
	m.holds = func(name string, data []byte) bool { return bytes.Equal(t.files[name], data) }
	m.put = func(name string, data []byte) error { t.files[name] = data; return nil }
	return t, m.publish(nil, nil, now)
}

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// Vouch answers metadata by which a Trust that begins with this root vouches
// for a seal.
func (t *Minted) Vouch(seal []byte) (root, targets []byte, err error) {
	err = t.Publish(map[string]NewTarget{"throw-away/seal.json": {Data: seal}}, nil, t.now)
	return t.root, t.mint.targetsRaw, err
}

// Publish is Repo.Publish.
func (t *Minted) Publish(set map[string]NewTarget, remove []string, now time.Time) error {
	return t.mint.publish(set, remove, now)
}

// Resign is Repo.Resign.
func (t *Minted) Resign(now time.Time) error { return t.mint.attest(t.mint.targetsRaw, now) }

// Get is a Get of this repository, metadata and targets.
func (t *Minted) Get(name string, max int64, have string) ([]byte, error) {
	data, ok := t.files[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", name, pipe.ErrNotFound)
	case have != "" && hashOf(data) == have:
		return nil, fmt.Errorf("%s: %w", name, pipe.ErrSame)
	case int64(len(data)) > max:
		return nil, fmt.Errorf("%s: %w: more than %d bytes", name, pipe.ErrCorrupt, max)
	}
	return data, nil
}
