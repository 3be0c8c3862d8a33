package tufrepo

import (
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"portward/internal/update/pipe"
)

// A NewTarget is a file to publish.
type NewTarget struct {
	Data   []byte
	Custom any // JSON that is signed with it, without null and fractions; nil: none
}

// A mint makes a repository's files. What it holds is the state published last.
type mint struct {
	root      *metadata.Metadata[metadata.RootType]
	targets   *metadata.Metadata[metadata.TargetsType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	timestamp *metadata.Metadata[metadata.TimestampType]

	targetsRaw []byte   // as published
	proofs     [][]byte // roots, whose clients must all take what is signed

	targetsKeys []ed25519.PrivateKey
	onlineKeys  []ed25519.PrivateKey // snapshot and timestamp

	has   func(name string) bool               // is there such a file
	holds func(name string, data []byte) bool  // is there one of these bytes
	put   func(name string, data []byte) error // write one, named from the top
}

// found makes a first state; the root is not signed yet.
func found(root []ed25519.PublicKey, threshold int, targets, online ed25519.PublicKey, now time.Time) (*mint, error) {
	m := &mint{
		root:      metadata.Root(until(now, rootLife)),
		targets:   metadata.Targets(until(now, targetsLife)),
		snapshot:  metadata.Snapshot(until(now, snapshotLife)),
		timestamp: metadata.Timestamp(until(now, timestampLife)),
	}
	m.targets.Signed.Version, m.snapshot.Signed.Version, m.timestamp.Signed.Version = 0, 0, 0
	m.root.Signed.Roles[metadata.ROOT].Threshold = threshold
	err := grant(m.root, metadata.TARGETS, targets)
	for _, role := range []string{metadata.SNAPSHOT, metadata.TIMESTAMP} {
		err = errors.Join(err, grant(m.root, role, online))
	}
	for _, key := range root {
		err = errors.Join(err, grant(m.root, metadata.ROOT, key))
	}
	return m, err
}

// grant adds a key to a role.
func grant(root *metadata.Metadata[metadata.RootType], role string, public ed25519.PublicKey) error {
	key, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return err
	}
	return root.Signed.AddKey(key, role)
}

// until is a life from now, as metadata writes it.
func until(now time.Time, life time.Duration) time.Time {
	return now.Add(life).UTC().Truncate(time.Second)
}

// sign replaces the signatures and answers the bytes.
func sign[T metadata.Roles](md *metadata.Metadata[T], keys []ed25519.PrivateKey) ([]byte, error) {
	md.ClearSignatures()
	for _, key := range keys {
		signer, err := signature.LoadSigner(key, crypto.Hash(0))
		if err != nil {
			return nil, err
		}
		if _, err := md.Sign(signer); err != nil {
			return nil, err
		}
	}
	return md.ToBytes(false)
}

// publish changes the set of targets and signs all three roles anew. The order
// of writing is that of the need: whoever sees a file finds what it lists. A
// target's file that is there and is not what its name says is written again.
func (m *mint) publish(set map[string]NewTarget, remove []string, now time.Time) error {
	next := maps.Clone(m.targets.Signed.Targets)
	files := map[string][]byte{}
	for _, name := range remove {
		delete(next, name)
	}
	for name, t := range set {
		f, err := describe(name, t)
		if err != nil {
			return fmt.Errorf("target %q: %w", name, err)
		}
		next[name] = f
		described, _ := target(name, f)
		files[described.File()] = t.Data
	}
	for name, data := range files {
		if m.holds(name, data) {
			continue
		}
		if err := m.put(name, data); err != nil {
			return err
		}
	}
	m.targets.Signed.Targets = next
	m.targets.Signed.Expires = until(now, targetsLife)
	m.targets.Signed.Version = m.free(metadata.TARGETS, m.targets.Signed.Version)
	raw, err := sign(m.targets, m.targetsKeys)
	if err != nil {
		return err
	}
	m.snapshot.Signed.Meta["targets.json"] = listing(m.targets.Signed.Version, raw)
	return m.attest(raw, now)
}

// attest signs snapshot and timestamp anew, proves by the client's own rules
// that the set would be taken, and writes it.
func (m *mint) attest(targets []byte, now time.Time) error {
	m.snapshot.Signed.Expires = until(now, snapshotLife)
	m.snapshot.Signed.Version = m.free(metadata.SNAPSHOT, m.snapshot.Signed.Version)
	snapshot, err := sign(m.snapshot, m.onlineKeys)
	if err != nil {
		return err
	}
	m.timestamp.Signed.Expires = until(now, timestampLife)
	m.timestamp.Signed.Version++
	m.timestamp.Signed.Meta["snapshot.json"] = listing(m.snapshot.Signed.Version, snapshot)
	m.timestamp.Signed.UnrecognizedFields = map[string]any{issuedField: now.UTC().Format(time.RFC3339)}
	timestamp, err := sign(m.timestamp, m.onlineKeys)
	if err != nil {
		return err
	}
	for _, root := range m.proofs {
		if _, err := check(root, timestamp, snapshot, targets, now); err != nil {
			return fmt.Errorf("no client would take what was signed: %w", err)
		}
	}
	if file := inRepo(versioned(m.targets.Signed.Version, metadata.TARGETS)); !m.has(file) {
		err = m.put(file, targets)
	}
	if err == nil {
		err = m.put(inRepo(versioned(m.snapshot.Signed.Version, metadata.SNAPSHOT)), snapshot)
	}
	if err == nil {
		err = m.put(inRepo(timestampFile), timestamp)
	}
	m.targetsRaw = targets
	return err
}

// check puts one state through the client's rules.
func check(root, timestamp, snapshot, targets []byte, now time.Time) (*trustedmetadata.TrustedMetadata, error) {
	rules, err := trustedmetadata.New(root)
	if err != nil {
		return nil, err
	}
	rules.RefTime = now
	_, err = parse[metadata.TimestampType](timestamp)
	if err == nil {
		_, err = rules.UpdateTimestamp(timestamp)
	}
	if err == nil {
		_, err = parse[metadata.SnapshotType](snapshot)
	}
	if err == nil {
		_, err = rules.UpdateSnapshot(snapshot, false)
	}
	if err == nil {
		_, err = parse[metadata.TargetsType](targets)
	}
	if err == nil {
		_, err = rules.UpdateTargets(targets)
	}
	return rules, err
}

// free is the next version that no file has. One may lie there that was never
// listed, of a publisher that was stopped: it stays what it is.
func (m *mint) free(role string, version int64) int64 {
	for version++; m.has(inRepo(versioned(version, role))); version++ {
	}
	return version
}

// listing is how a role above lists these bytes.
func listing(version int64, raw []byte) *metadata.MetaFiles {
	f := metadata.MetaFile(version)
	f.Length, f.Hashes = int64(len(raw)), metadata.Hashes{"sha256": sum(raw)}
	return f
}

func describe(name string, t NewTarget) (*metadata.TargetFiles, error) {
	if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\?#%") {
		return nil, errors.New("the name is no plain path")
	}
	f := metadata.TargetFile()
	f.Length, f.Hashes, f.Path = int64(len(t.Data)), metadata.Hashes{"sha256": sum(t.Data)}, name
	if t.Custom == nil {
		return f, nil
	}
	custom, err := json.Marshal(t.Custom)
	if err == nil {
		err = noNulls(custom)
	}
	f.Custom = (*json.RawMessage)(&custom)
	return f, err
}

func (m *mint) list() map[string]pipe.Target {
	all := map[string]pipe.Target{}
	for name, f := range m.targets.Signed.Targets {
		if t, ok := target(name, f); ok {
			all[name] = t
		}
	}
	return all
}

func (m *mint) expiries() []Expiry {
	return []Expiry{
		{metadata.ROOT, m.root.Signed.Version, m.root.Signed.Expires},
		{metadata.TARGETS, m.targets.Signed.Version, m.targets.Signed.Expires},
		{metadata.SNAPSHOT, m.snapshot.Signed.Version, m.snapshot.Signed.Expires},
		{metadata.TIMESTAMP, m.timestamp.Signed.Version, m.timestamp.Signed.Expires},
	}
}

// successor is the next root, with the same keys and not signed yet.
func (m *mint) successor(now time.Time) (*metadata.Metadata[metadata.RootType], error) {
	raw, err := m.root.ToBytes(false)
	if err != nil {
		return nil, err
	}
	next, err := parse[metadata.RootType](raw)
	if err != nil {
		return nil, err
	}
	next.Signed.Version++
	next.Signed.Expires = until(now, rootLife)
	return next, nil
}

// replace takes keys from a role and gives it others.
func replace(root *metadata.Metadata[metadata.RootType], role string, ids []string, keys ...ed25519.PublicKey) (err error) {
	for _, id := range ids {
		err = errors.Join(err, root.Signed.RevokeKey(id, role))
	}
	for _, key := range keys {
		err = errors.Join(err, grant(root, role, key))
	}
	return err
}

// adopt signs the next root and answers its bytes, which the last root's
// clients will take.
func (m *mint) adopt(next *metadata.Metadata[metadata.RootType], keys []ed25519.PrivateKey) ([]byte, error) {
	raw, err := sign(next, keys)
	if err == nil {
		_, err = nextRoot(held[metadata.RootType]{md: m.root}, raw)
	}
	if err != nil {
		return nil, fmt.Errorf("root version %d: %w", next.Signed.Version, err)
	}
	return raw, nil
}

// putRoot publishes an adopted root.
func (m *mint) putRoot(next *metadata.Metadata[metadata.RootType], raw []byte) error {
	file := inRepo(versioned(next.Signed.Version, metadata.ROOT))
	if m.has(file) {
		return fmt.Errorf("%s is there already", file)
	}
	m.root = next
	return m.put(file, raw)
}
