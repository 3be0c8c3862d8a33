package tufrepo

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"portward/internal/durable"
)

// The keys' roles, as Pass and Rotate call them and their files are named.
const (
	rootKey    = "root"
	targetsKey = "targets"
	onlineKey  = "online"
)

const (
	rootKeys      = 3
	rootThreshold = 2
)

// A Pass asks for the passphrase of the key at path. role is "root", "targets"
// or "online", and "new root" and so on for a key that is being made. No bytes
// mean that there is none: a new root key is refused then, another new key lies
// open, and an old root key is left out of the signing.
type Pass func(role, path string) ([]byte, error)

// errLocked is a key whose passphrase nobody told.
var errLocked = errors.New("no passphrase was given")

// ErrPassphrase is in the error for a key that a passphrase did not open.
var ErrPassphrase = errors.New("wrong passphrase")

// A keyFile is one key, at DIR/ROLE.key or, for those made later, at
// DIR/ROLE.VERSION.key with the version of the root that brings it. The one in
// use is the one that the root in force names.
type keyFile struct {
	Type      string          `json:"keytype"`
	Public    string          `json:"public"`
	Private   []byte          `json:"private,omitempty"`   // the seed
	Encrypted json.RawMessage `json:"encrypted,omitempty"` // or the seed under scrypt and secretbox
}

// makeKey makes a key and what is to be written of it.
func makeKey(pass []byte) (ed25519.PrivateKey, []byte, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	f := keyFile{Type: metadata.KeyTypeEd25519, Public: hex.EncodeToString(publicOf(key)), Private: key.Seed()}
	if len(pass) > 0 {
		f.Private = nil
		if f.Encrypted, err = encrypted.Encrypt(key.Seed(), pass); err != nil {
			return nil, nil, err
		}
	}
	data, err := json.Marshal(f)
	return key, append(data, '\n'), err
}

// newKey makes a key file that was not there and answers its path. version 0 is
// the first key of a directory.
func newKey(dir, role string, version int64, pass Pass) (ed25519.PrivateKey, string, error) {
	path := filepath.Join(dir, role+".key")
	for ; version > 0 && exists(path); version++ {
		path = filepath.Join(dir, fmt.Sprintf("%s.%d.key", role, version))
	}
	if exists(path) {
		return nil, "", fmt.Errorf("there is a key at %s already", path)
	}
	if err := alone(dir, role); err != nil {
		return nil, "", err
	}
	secret, err := pass("new "+role, path)
	if err == nil && len(secret) == 0 && role == rootKey {
		err = errors.New("a root key needs a passphrase")
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	key, data, err := makeKey(secret)
	if err != nil {
		return nil, "", err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	return key, path, durable.Write(path, data, 0o600)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// findKey answers the key file in dir whose key has one of these ids.
func findKey(dir, role string, ids []string) (path string, id string, f keyFile, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, role+"*.key"))
	if err != nil {
		return "", "", f, err
	}
	for _, path := range paths {
		data, err := readPlain(path, maxTimestamp)
		if err == nil {
			f = keyFile{}
			err = json.Unmarshal(data, &f)
		}
		if err != nil {
			return "", "", f, fmt.Errorf("%s: %w", path, err)
		}
		for _, id := range ids {
			if f.id() == id {
				return path, id, f, nil
			}
		}
	}
	return "", "", f, fmt.Errorf("%s holds no %s key of this repository: %w", dir, role, os.ErrNotExist)
}

// id is the key's name in metadata; empty if it is no key.
func (f keyFile) id() string {
	raw, err := hex.DecodeString(f.Public)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return ""
	}
	key, err := metadata.KeyFromPublicKey(ed25519.PublicKey(raw))
	if err != nil {
		return ""
	}
	id, _ := key.ID()
	return id
}

// unlock answers the private key, asking for the passphrase where there is one.
func (f keyFile) unlock(path, role string, pass Pass) (ed25519.PrivateKey, error) {
	seed := f.Private
	if f.Encrypted != nil {
		secret, err := pass(role, path)
		if err == nil && len(secret) == 0 {
			err = errLocked
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if seed, err = encrypted.Decrypt(f.Encrypted, secret); err != nil {
			return nil, fmt.Errorf("%w for %s: %w", ErrPassphrase, path, err)
		}
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s: not a key", path)
	}
	key := ed25519.NewKeyFromSeed(seed)
	if hex.EncodeToString(publicOf(key)) != f.Public {
		return nil, fmt.Errorf("%s: the private key is not that of the public one", path)
	}
	return key, nil
}

// InitKeys makes the keys of a new repository, root of threshold 2 of 3, and
// the repository with no target in it. It overwrites nothing; after an error
// nothing of its making is left.
func InitKeys(repo string, d KeyDirs, pass Pass, now time.Time) (err error) {
	if err := d.check(repo); err != nil {
		return err
	}
	if exists(filepath.Join(repo, "metadata")) {
		return fmt.Errorf("%s is a repository already", repo)
	}
	var made []string
	defer func() {
		if err == nil {
			return
		}
		for _, path := range append(made, filepath.Join(repo, "metadata")) {
			_ = durable.RemoveAll(path)
		}
	}()
	keys := map[string][]ed25519.PrivateKey{}
	for _, place := range d.places() {
		key, path, err := newKey(place.dir, place.role, 0, pass)
		if err != nil {
			return err
		}
		made, keys[place.role] = append(made, path), append(keys[place.role], key)
	}
	return start(repo, keys, now)
}

// start writes a repository's first files.
func start(repo string, keys map[string][]ed25519.PrivateKey, now time.Time) error {
	var publics []ed25519.PublicKey
	for _, key := range keys[rootKey] {
		publics = append(publics, publicOf(key))
	}
	m, err := found(publics, rootThreshold, publicOf(keys[targetsKey][0]), publicOf(keys[onlineKey][0]), now)
	if err != nil {
		return err
	}
	m.targetsKeys, m.onlineKeys = keys[targetsKey], keys[onlineKey]
	raw, err := sign(m.root, keys[rootKey])
	if err != nil {
		return err
	}
	m.onDisk(repo)
	m.proofs = [][]byte{raw}
	if err := m.putRoot(m.root, raw); err != nil {
		return err
	}
	return m.publish(nil, nil, now)
}
