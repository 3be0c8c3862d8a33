package tufrepo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// recallWorld has published "one" and then "two", and kept what a thief of the
// online key needs to offer "one" again.
func recallWorld(t *testing.T) (w *world, old map[string][]byte) {
	w = newWorld(t)
	old = w.copy()
	w.publish("two", day0.Add(hour))
	return w, old
}

// Rule: a machine that lost a part of its metadata still does not go back
// behind the rest, whether the repository is an old copy or is signed anew by a
// thief of the online key; and an honest answer heals it.
func TestAttackRollbackOfWhoLostSomething(t *testing.T) {
	for _, lost := range [][]string{
		{"timestamp.json"},
		{"snapshot.json"},
		{"timestamp.json", "snapshot.json"},
		{"timestamp.json", "snapshot.json", "floor.json"},
		{"timestamp.json", "snapshot.json", "targets.json"},
		{"timestamp.json", "targets.json"},
		{"snapshot.json", "targets.json"},
	} {
		for _, resigned := range []bool{false, true} {
			t.Run(fmt.Sprint(lost, resigned), func(t *testing.T) {
				w, old := recallWorld(t)
				trust := w.trusting(day0.Add(hour))
				for _, file := range lost {
					if err := os.Remove(filepath.Join(trust.store.dir, file)); err != nil {
						t.Fatal(err)
					}
				}
				trust = w.open(trust.store.dir)
				_, hadTargets := trust.Target(sealName)
				honest := w.copy()
				if w.files = old; resigned {
					w.rewind(honest)
				}
				_, err := trust.Refresh(day0.Add(2*hour), w.get)
				if e := (*Error)(nil); !errors.As(err, &e) {
					t.Fatalf("the answer was %v", err)
				}
				want := map[bool]string{true: "two"}[hadTargets]
				w.believes(trust, want)
				w.believes(w.open(trust.store.dir), want)
				w.files = honest
				if resigned { // the honest publisher goes on above the thief's versions
					w.m.snapshot.Signed.Version, w.m.timestamp.Signed.Version = 8, 8
					if err := w.m.attest(w.m.targetsRaw, day0.Add(3*hour)); err != nil {
						t.Fatal(err)
					}
				}
				w.refresh(trust, day0.Add(3*hour))
				w.believes(w.open(trust.store.dir), "two")
			})
		}
	}
}

// rewind signs a snapshot and a timestamp of the newest versions above the
// targets that are published.
func (w *world) rewind(newest map[string][]byte) {
	w.t.Helper()
	raw := forge(w, "metadata/1.snapshot.json", w.m.onlineKeys, func(s *metadata.SnapshotType) { s.Version = 7 })
	w.files["metadata/7.snapshot.json"] = raw
	forge(w, "metadata/timestamp.json", w.m.onlineKeys, func(s *metadata.TimestampType) {
		s.Version = 7
		s.Meta["snapshot.json"] = listing(7, raw)
	})
}

// Rule: a snapshot that lists the same targets is not taken when it is older
// than the one that is held, with or without the timestamp between them.
func TestAttackOlderSnapshotOfTheSameTargets(t *testing.T) {
	w := newWorld(t)
	old := w.copy()
	if err := w.m.attest(w.m.targetsRaw, day0.Add(hour)); err != nil {
		t.Fatal(err)
	}
	trust := w.trusting(day0.Add(hour))
	if err := os.Remove(filepath.Join(trust.store.dir, "timestamp.json")); err != nil {
		t.Fatal(err)
	}
	w.files = old
	w.refused(w.open(trust.store.dir), day0.Add(2*hour), Stale, "one")
}

// Rule: with new keys of the snapshot a repository may begin below a version to
// which targets were driven, also when the walk was cut off in between, and when
// the power was before the floor was written.
func TestTargetsFastForwardRecovery(t *testing.T) {
	for _, cut := range []string{"", "offline", "power"} {
		t.Run(cut, func(t *testing.T) {
			w := newWorld(t)
			w.m.targets.Signed.Version = 99998
			w.publish("driven", day0)
			trust := w.trusting(day0)
			w.rotate(day0.Add(hour), metadata.SNAPSHOT, metadata.TIMESTAMP)
			w.m.targets.Signed.Version = 1
			w.publish("two", day0.Add(hour))
			if cut != "" {
				w.cutOff(trust)
				if cut == "power" {
					write(t, filepath.Join(trust.store.dir, "floor.json"), []byte(`{"root":1,"issued":"2031-05-01T12:00:00Z","targets":99999}`))
				}
				trust = w.open(trust.store.dir)
			}
			if _, err := trust.Walk(day0.Add(25*hour), w.get); err != nil {
				t.Fatal(err)
			}
			w.believes(w.open(trust.store.dir), "two")
		})
	}
}

// cutOff lets a walk see the new root and nothing else.
func (w *world) cutOff(trust *Trust) {
	w.t.Helper()
	offline := errors.New("offline")
	_, err := trust.Walk(day0.Add(hour), func(name string, max int64, have string) ([]byte, error) {
		if name == "metadata/timestamp.json" {
			return nil, offline
		}
		return w.get(name, max, have)
	})
	if !errors.Is(err, offline) {
		w.t.Fatal(err)
	}
}
