package tufrepo

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"portward/internal/update/pipe"
)

// day0 is when the tests' repositories were founded.
var day0 = time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)

// A world is a repository in memory whose keys are all known, and the requests
// it saw.
type world struct {
	t     *testing.T
	m     *mint
	roots []ed25519.PrivateKey // threshold 2 of 3
	files map[string][]byte
	asked []string
}

func newKeys(t testing.TB, n int) []ed25519.PrivateKey {
	t.Helper()
	var keys []ed25519.PrivateKey
	for range n {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

// newWorld has published the seal "one" for channel/os.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, newKeys(t, 5))
}

// newWorldOf has three root keys, the targets' and the online one.
func newWorldOf(t *testing.T, keys []ed25519.PrivateKey) *world {
	t.Helper()
	w := &world{t: t, roots: keys[:3:3], files: map[string][]byte{}}
	k := keys[3:]
	m, err := found([]ed25519.PublicKey{publicOf(w.roots[0]), publicOf(w.roots[1]), publicOf(w.roots[2])}, 2, publicOf(k[0]), publicOf(k[1]), day0)
	if err != nil {
		t.Fatal(err)
	}
	m.targetsKeys, m.onlineKeys = k[:1:1], k[1:]
	m.has = func(name string) bool { return w.files[name] != nil }
	m.holds = func(name string, data []byte) bool { return bytes.Equal(w.files[name], data) }
	m.put = func(name string, data []byte) error { w.files[name] = data; return nil }
	w.m = m
	raw, err := sign(m.root, w.roots)
	if err != nil {
		t.Fatal(err)
	}
	w.files["metadata/1.root.json"] = raw
	w.publish("one", day0)
	return w
}

const sealName = "stable/linux-amd64/seal.json"

func (w *world) publish(seal string, now time.Time) {
	w.t.Helper()
	if err := w.m.publish(map[string]NewTarget{sealName: {Data: []byte(seal), Custom: map[string]any{"version": seal}}}, nil, now); err != nil {
		w.t.Fatal(err)
	}
}

// root publishes the next root after change, signed by keys.
func (w *world) root(now time.Time, keys []ed25519.PrivateKey, change func(*metadata.RootType)) {
	w.t.Helper()
	next, err := w.m.successor(now)
	if err != nil {
		w.t.Fatal(err)
	}
	change(&next.Signed)
	raw, err := sign(next, keys)
	if err != nil {
		w.t.Fatal(err)
	}
	w.files[fmt.Sprintf("metadata/%d.root.json", next.Signed.Version)] = raw
	w.m.root = next
}

// rotate gives roles a new key by a new root and signs everything with it.
func (w *world) rotate(now time.Time, roles ...string) {
	w.t.Helper()
	key := newKeys(w.t, 1)
	w.root(now, w.roots, func(r *metadata.RootType) {
		for _, role := range roles {
			if err := errors.Join(r.RevokeKey(r.Roles[role].KeyIDs[0], role), grant(&metadata.Metadata[metadata.RootType]{Signed: *r}, role, publicOf(key[0]))); err != nil {
				w.t.Fatal(err)
			}
			if role == metadata.TARGETS {
				w.m.targetsKeys = key
			} else {
				w.m.onlineKeys = key
			}
		}
	})
}

// get is the network.
func (w *world) get(name string, max int64, have string) ([]byte, error) {
	w.asked = append(w.asked, name)
	data, ok := w.files[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", name, pipe.ErrNotFound)
	case have != "" && hashOf(data) == have:
		return nil, fmt.Errorf("%s: %w", name, pipe.ErrSame)
	}
	return data, nil
}

// copy is a mirror of now.
func (w *world) copy() map[string][]byte { return maps.Clone(w.files) }

func (w *world) open(dir string) *Trust {
	w.t.Helper()
	trust, err := Open(dir, w.files["metadata/1.root.json"], day0.Add(-day))
	if err != nil {
		w.t.Fatal(err)
	}
	return trust
}

// trusting is a client that took what is published.
func (w *world) trusting(now time.Time) *Trust {
	w.t.Helper()
	trust := w.open(w.t.TempDir())
	w.refresh(trust, now)
	return trust
}

func (w *world) refresh(trust *Trust, now time.Time) {
	w.t.Helper()
	if _, err := trust.Refresh(now, w.get); err != nil {
		w.t.Fatal(err)
	}
}

// refused says that a refresh fails with this kind, and that the client still
// believes the seal it had, now and after a restart.
func (w *world) refused(trust *Trust, now time.Time, want Kind, seal string) {
	w.t.Helper()
	_, err := trust.Refresh(now, w.get)
	var e *Error
	if !errors.As(err, &e) || e.Kind != want {
		w.t.Fatalf("the answer was %v, want %v", err, want)
	}
	w.believes(trust, seal)
	w.believes(w.open(trust.store.dir), seal)
}

func (w *world) believes(trust *Trust, seal string) {
	w.t.Helper()
	got, ok := trust.Target(sealName)
	if want := seal != ""; ok != want {
		w.t.Fatalf("is there a target: %v, want %v", ok, want)
	}
	if ok && got.SHA256 != hashOf([]byte(seal)) {
		w.t.Fatalf("it believes %s, want the seal %q", got.Custom, seal)
	}
}

// forge changes published metadata and signs it with these keys, as a thief of
// them would.
func forge[T metadata.Roles](w *world, name string, keys []ed25519.PrivateKey, change func(*T)) []byte {
	w.t.Helper()
	md, err := new(metadata.Metadata[T]).FromBytes(w.files[name])
	if err != nil {
		w.t.Fatal(err)
	}
	change(&md.Signed)
	raw, err := sign(md, keys)
	if err != nil {
		w.t.Fatal(err)
	}
	w.files[name] = raw
	return raw
}

// relist signs a timestamp and, unless nil, a snapshot above forged bytes.
func (w *world) relist(snapshot []byte, now time.Time) {
	w.t.Helper()
	md, err := metadata.Snapshot().FromBytes(snapshot)
	if err != nil {
		w.t.Fatal(err)
	}
	forge(w, "metadata/timestamp.json", w.m.onlineKeys, func(s *metadata.TimestampType) {
		s.Version++
		s.Expires = until(now, timestampLife)
		s.Meta["snapshot.json"] = listing(md.Signed.Version, snapshot)
	})
}
