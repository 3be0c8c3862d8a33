package tufrepo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"portward/internal/update/pipe"
)

// Rule: any bytes are metadata or an error, for each role.
func FuzzParse(f *testing.F) {
	w := fuzzWorld()
	for _, data := range w.files {
		f.Add(data)
	}
	for _, shape := range hostileShapes {
		f.Add([]byte(shape))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err1 := parse[metadata.RootType](raw)
		_, err2 := parse[metadata.TimestampType](raw)
		_, err3 := parse[metadata.SnapshotType](raw)
		_, err4 := parse[metadata.TargetsType](raw)
		n := 0
		for _, err := range []error{err1, err2, err3, err4} {
			if err == nil {
				n++
			}
		}
		if n > 1 {
			t.Fatalf("it is metadata of %d roles", n)
		}
	})
}

// Rule: whatever a thief of all keys signs in place of any one file, nobody
// panics, and after an error nothing of it is believed.
func FuzzSigned(f *testing.F) {
	w := fuzzWorld()
	names := []string{"metadata/2.root.json", "metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json"}
	for i, name := range []string{"metadata/1.root.json", "metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json"} {
		var whole struct {
			Signed json.RawMessage `json:"signed"`
		}
		if err := json.Unmarshal(w.files[name], &whole); err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), []byte(whole.Signed))
	}
	f.Add(uint8(1), []byte(`{"_type":"timestamp","version":2,"expires":"2099-01-01T00:00:00Z","meta":{}}`))
	f.Fuzz(func(t *testing.T, which uint8, signed []byte) {
		name := names[int(which)%len(names)]
		data := w.signedRaw(name, signed)
		trust := memTrust(t, w)
		_, err := trust.walkInMemory(func(asked string, max int64, have string) ([]byte, error) {
			if asked == name {
				return data, nil
			}
			if w.files[asked] == nil {
				return nil, pipe.ErrNotFound
			}
			return w.files[asked], nil
		})
		if err != nil && trust.targets.md != nil {
			t.Fatalf("%v, and there are targets", err)
		}
		_ = trust.Vouches(data, []byte("evil"))
		trust.Warnings(day0)
		_ = trust.Expired(day0)
	})
}

// fuzzWorld has the same keys in each process that fuzzes.
func fuzzWorld() *world {
	var keys []ed25519.PrivateKey
	for i := range byte(5) {
		keys = append(keys, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{i}, ed25519.SeedSize)))
	}
	return newWorldOf(&testing.T{}, keys)
}

// memTrust is a Trust that writes nothing.
func memTrust(t *testing.T, w *world) *Trust {
	root, err := parse[metadata.RootType](w.files["metadata/1.root.json"])
	if err != nil {
		t.Fatal(err)
	}
	return &Trust{roots: []held[metadata.RootType]{{w.files["metadata/1.root.json"], root}}}
}

func (t *Trust) walkInMemory(get Get) (bool, error) {
	w := &walk{Trust: t, now: day0, get: get}
	err := w.all()
	t.raise(day0)
	return w.changed, err
}

// signedRaw is any JSON under all signatures that a role may need. What cannot
// be signed, as go-tuf reads it, comes with none.
func (w *world) signedRaw(name string, signed []byte) []byte {
	whole := fmt.Appendf(nil, `{"signatures":[],"signed":%s}`, signed)
	var raw []byte
	var err error
	switch name {
	case "metadata/2.root.json":
		raw, err = signAny[metadata.RootType](whole, w)
	case "metadata/timestamp.json":
		raw, err = signAny[metadata.TimestampType](whole, w)
	case "metadata/1.snapshot.json":
		raw, err = signAny[metadata.SnapshotType](whole, w)
	default:
		raw, err = signAny[metadata.TargetsType](whole, w)
	}
	if err != nil {
		return whole
	}
	return raw
}

func signAny[T metadata.Roles](whole []byte, w *world) ([]byte, error) {
	md, err := parse[T](whole)
	if err != nil {
		return nil, err
	}
	keys := slices.Concat(w.roots, w.m.targetsKeys, w.m.onlineKeys)
	return sign(md, keys)
}

// Rule: any floor.json is read or refused, and what is read is written again.
func FuzzFloor(f *testing.F) {
	f.Add([]byte(`{"root":1,"issued":"2031-05-01T12:00:00Z","walked":"2031-05-01T12:00:00Z"}`))
	f.Add([]byte(`{"issued":"9999-12-31T23:59:59Z","stale":"0000-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, err := parseFloor(raw)
		if err != nil {
			return
		}
		trust := &Trust{floor: w}
		trust.refTime(day0)
		if _, err := json.Marshal(trust.floor); err != nil {
			t.Fatal(err)
		}
	})
}
