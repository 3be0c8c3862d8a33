package tufrepo

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

const hour = time.Hour

// Rule: a repository of the past is not taken, and it is called stale, because
// a mirror that lags looks the same.
func TestAttackRollback(t *testing.T) {
	w := newWorld(t)
	old := w.copy()
	w.publish("two", day0.Add(hour))
	trust := w.trusting(day0.Add(hour))
	w.files = old
	w.refused(trust, day0.Add(2*hour), Stale, "two")
}

// Rule: a newer timestamp cannot lead back to an older snapshot.
func TestAttackSnapshotRollback(t *testing.T) {
	w := newWorld(t)
	w.publish("two", day0.Add(hour))
	trust := w.trusting(day0.Add(hour))
	w.relist(w.files["metadata/1.snapshot.json"], day0.Add(hour))
	w.refused(trust, day0.Add(2*hour), Untrusted, "two")
}

// Rule: a newer snapshot cannot lead back to older targets, and cannot leave
// them out.
func TestAttackTargetsRollback(t *testing.T) {
	for name, change := range map[string]func(*metadata.SnapshotType, []byte){
		"older": func(s *metadata.SnapshotType, old []byte) { s.Meta["targets.json"] = listing(1, old) },
		"none":  func(s *metadata.SnapshotType, _ []byte) { delete(s.Meta, "targets.json") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("two", day0.Add(hour))
			trust := w.trusting(day0.Add(hour))
			if err := w.m.attest(w.m.targetsRaw, day0.Add(hour)); err != nil {
				t.Fatal(err)
			}
			raw := forge(w, "metadata/3.snapshot.json", w.m.onlineKeys, func(s *metadata.SnapshotType) {
				change(s, w.files["metadata/1.targets.json"])
			})
			forge(w, "metadata/timestamp.json", w.m.onlineKeys, func(s *metadata.TimestampType) {
				s.Meta["snapshot.json"] = listing(3, raw)
			})
			w.refused(trust, day0.Add(2*hour), Untrusted, "two")
		})
	}
}

// Rule: a thief of the online key who lists nothing stops updates, and no
// process.
func TestAttackListsNothing(t *testing.T) {
	for _, known := range []bool{true, false} {
		w := newWorld(t)
		trust, seal := w.open(t.TempDir()), ""
		if known {
			w.refresh(trust, day0)
			seal = "one"
		}
		w.publish("two", day0.Add(hour))
		good := w.copy()
		forge(w, "metadata/timestamp.json", w.m.onlineKeys, func(s *metadata.TimestampType) { s.Meta = nil })
		w.refused(trust, day0.Add(hour), Untrusted, seal)
		forge(w, "metadata/timestamp.json", w.m.onlineKeys, func(s *metadata.TimestampType) {
			s.Meta = map[string]*metadata.MetaFiles{"other.json": {Version: 2}}
		})
		w.refused(trust, day0.Add(hour), Untrusted, seal)
		w.files = good
		raw := forge(w, "metadata/2.snapshot.json", w.m.onlineKeys, func(s *metadata.SnapshotType) {
			s.Meta = map[string]*metadata.MetaFiles{"other.json": {Version: 2}}
		})
		w.relist(raw, day0.Add(hour))
		w.refused(trust, day0.Add(hour), Untrusted, seal)
	}
}

// Rule: whoever serves the same state for ever, or answers "unchanged" for
// ever, wins no more than the timestamp's life; what is known stays known.
func TestAttackFreeze(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	w.refresh(trust, day0.Add(6*day))
	w.refused(trust, day0.Add(8*day), Expired, "one")
	w.asked = nil
	_, err := trust.Refresh(day0.Add(8*day), w.get)
	if e := new(Error); !errors.As(err, &e) || e.Name != "metadata/timestamp.json" || len(w.asked) != 2 {
		t.Fatalf("asked for %q: %v", w.asked, err)
	}
	if trust.Expired(day0.Add(8*day)) == nil {
		t.Fatal("something may be installed from a frozen repository")
	}
	w.publish("two", day0.Add(8*day))
	w.refresh(trust, day0.Add(8*day))
	w.believes(trust, "two")
}

// Rule: each expired role is refused, and does not replace what was held.
func TestAttackExpiredRoles(t *testing.T) {
	late := day0.Add(hour)
	forgeries := map[string]func(*world){
		"timestamp": func(w *world) {
			forge(w, "metadata/timestamp.json", w.m.onlineKeys, func(s *metadata.TimestampType) { s.Expires = day0 })
		},
		"snapshot": func(w *world) {
			raw := forge(w, "metadata/2.snapshot.json", w.m.onlineKeys, func(s *metadata.SnapshotType) { s.Expires = day0 })
			w.relist(raw, late)
		},
		"targets": func(w *world) {
			targets := forge(w, "metadata/2.targets.json", w.m.targetsKeys, func(s *metadata.TargetsType) { s.Expires = day0 })
			raw := forge(w, "metadata/2.snapshot.json", w.m.onlineKeys, func(s *metadata.SnapshotType) {
				s.Meta["targets.json"] = listing(2, targets)
			})
			w.relist(raw, late)
		},
		"root": func(w *world) {
			w.root(late, w.roots, func(r *metadata.RootType) { r.Expires = day0 })
		},
	}
	for name, forgery := range forgeries {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			trust := w.trusting(day0)
			w.publish("two", late)
			forgery(w)
			w.refused(trust, day0.Add(25*hour), Expired, "one")
		})
	}
}

// Rule: files of two states do not mix, even when each is well-formed and
// genuinely signed: what lists a file says its hash.
func TestAttackMixAndMatch(t *testing.T) {
	for _, file := range []string{"metadata/2.snapshot.json", "metadata/2.targets.json"} {
		t.Run(file, func(t *testing.T) {
			w := newWorld(t)
			trust := w.trusting(day0)
			at := w.copy()
			w.publish("two", day0.Add(hour))
			other := &world{t: t, m: w.m, roots: w.roots, files: at}
			w.m.targets.Signed.Version, w.m.snapshot.Signed.Version, w.m.timestamp.Signed.Version = 1, 1, 1
			w.m.has = func(string) bool { return false }
			w.m.put = func(name string, data []byte) error { other.files[name] = data; return nil }
			other.publish("another two", day0.Add(hour))
			if bytes.Equal(w.files[file], other.files[file]) {
				t.Fatal("the two states do not differ")
			}
			w.files[file] = other.files[file]
			w.refused(trust, day0.Add(2*hour), Untrusted, "one")
		})
	}
}

// Rule: each file is asked for with a bound, and more than that is refused even
// from a getter that does not keep it.
func TestAttackEndlessData(t *testing.T) {
	for _, file := range []string{"metadata/2.root.json", "metadata/timestamp.json", "metadata/2.snapshot.json", "metadata/2.targets.json"} {
		t.Run(file, func(t *testing.T) {
			w := newWorld(t)
			trust := w.trusting(day0)
			w.publish("two", day0.Add(hour))
			w.root(day0, w.roots, func(*metadata.RootType) {})
			_, err := trust.Walk(day0.Add(25*hour), func(name string, max int64, have string) ([]byte, error) {
				if name != file {
					return w.get(name, max, have)
				}
				if max < 1 || max > maxTargets {
					t.Errorf("%s was asked for with the bound %d", name, max)
				}
				return append(w.files[name], bytes.Repeat([]byte(" "), int(max))...), nil // good, and more than allowed
			})
			var e *Error
			if !errors.As(err, &e) || e.Kind != Untrusted || e.Name != file {
				t.Fatal(err)
			}
			w.believes(trust, "one")
		})
	}
}

// Rule: what the listing role said of the length is the bound.
func TestBoundIsTheSignedLength(t *testing.T) {
	w := newWorld(t)
	bounds := map[string]int64{}
	_, err := w.open(t.TempDir()).Walk(day0, func(name string, max int64, have string) ([]byte, error) {
		bounds[name] = max
		return w.get(name, max, have)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"metadata/1.snapshot.json", "metadata/1.targets.json"} {
		if got, want := bounds[name], int64(len(w.files[name])); got != want {
			t.Errorf("%s: bound %d, want %d", name, got, want)
		}
	}
}

// Rule: no role's file counts without its own keys; another role's are foreign.
func TestAttackWrongKeys(t *testing.T) {
	late := day0.Add(hour)
	forgeries := map[string]func(*world){
		"root": func(w *world) {
			w.root(late, newKeys(w.t, 3), func(*metadata.RootType) {})
		},
		"timestamp": func(w *world) {
			forge(w, "metadata/timestamp.json", w.m.targetsKeys, func(*metadata.TimestampType) {})
		},
		"snapshot": func(w *world) {
			w.relist(forge(w, "metadata/2.snapshot.json", w.m.targetsKeys, func(*metadata.SnapshotType) {}), late)
		},
		"targets": func(w *world) {
			targets := forge(w, "metadata/2.targets.json", w.m.onlineKeys, func(s *metadata.TargetsType) {})
			w.relist(forge(w, "metadata/2.snapshot.json", w.m.onlineKeys, func(s *metadata.SnapshotType) {
				s.Meta["targets.json"] = listing(2, targets)
			}), late)
		},
	}
	for name, forgery := range forgeries {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			trust := w.trusting(day0)
			w.publish("two", late)
			forgery(w)
			w.refused(trust, day0.Add(25*hour), Untrusted, "one")
		})
	}
}

// Rule: a file of one role is nothing as the file of another, whoever signed it.
func TestAttackWrongRole(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	w.files["metadata/timestamp.json"] = w.files["metadata/1.snapshot.json"] // one key signs both
	w.refused(trust, day0.Add(hour), Untrusted, "one")
}

// Rule: a thief of the online key can drive the version up so far that honest
// metadata looks old, and the signed time, too. New keys in a new root undo
// both.
func TestAttackFastForwardAndItsRecovery(t *testing.T) {
	for _, roles := range [][]string{{metadata.TIMESTAMP, metadata.SNAPSHOT}, {metadata.TIMESTAMP}, {metadata.SNAPSHOT}} {
		t.Run(fmt.Sprint(roles), func(t *testing.T) {
			w := newWorld(t)
			trust := w.trusting(day0)
			honest := w.copy()
			forge(w, "metadata/timestamp.json", w.m.onlineKeys, func(s *metadata.TimestampType) {
				s.Version = 1 << 40
				s.UnrecognizedFields[issuedField] = day0.Add(20 * hour).Format(time.RFC3339)
			})
			w.refresh(trust, day0)
			if !trust.floor.Issued.Equal(day0.Add(20 * hour)) {
				t.Fatal("the thief's time did not get in; the test shows nothing")
			}
			w.files = honest
			w.publish("two", day0.Add(hour))
			w.refused(trust, day0.Add(hour), Stale, "one")
			if len(roles) == 1 { // the other role keeps its key, so it must sign with that
				both := append(w.m.onlineKeys, newKeys(t, 1)...)
				w.root(day0.Add(hour), w.roots, func(r *metadata.RootType) {
					root := &metadata.Metadata[metadata.RootType]{Signed: *r}
					if err := replace(root, roles[0], []string{r.Roles[roles[0]].KeyIDs[0]}, publicOf(both[1])); err != nil {
						t.Fatal(err)
					}
				})
				w.m.onlineKeys = both
			} else {
				w.rotate(day0.Add(hour), roles...)
			}
			w.publish("three", day0.Add(hour))
			offline := errors.New("offline")
			_, err := trust.Walk(day0.Add(hour), func(name string, max int64, have string) ([]byte, error) {
				if name == "metadata/timestamp.json" {
					return nil, offline
				}
				return w.get(name, max, have)
			})
			if !errors.Is(err, offline) {
				t.Fatal(err)
			}
			trust = w.open(trust.store.dir) // what was forgotten stays forgotten
			if _, err := trust.Walk(day0.Add(hour), w.get); err != nil {
				t.Fatal(err)
			}
			w.believes(trust, "three")
			if !trust.floor.Issued.Equal(day0.Add(hour)) {
				t.Fatalf("the floor is still %v", trust.floor.Issued)
			}
		})
	}
}

// Rule: once root replaced the targets' key, what the stolen one signed counts
// no more: not from the network, and not what was taken before.
func TestAttackKeyCompromiseAndRotation(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	stolen := w.m.targetsKeys
	w.publish("evil", day0.Add(hour))
	w.refresh(trust, day0.Add(hour))
	w.believes(trust, "evil")

	w.rotate(day0.Add(2*hour), metadata.TARGETS)
	mirror := w.copy()
	w.files = mirror // the new root is out, the rest is the thief's
	_, err := trust.Walk(day0.Add(2*hour), w.get)
	var e *Error
	if !errors.As(err, &e) || e.Kind != Untrusted {
		t.Fatal(err)
	}
	w.believes(trust, "")
	w.believes(w.open(trust.store.dir), "")

	w.publish("good", day0.Add(3*hour))
	w.refresh(trust, day0.Add(3*hour))
	w.believes(trust, "good")
	w.m.targetsKeys, w.m.proofs = stolen, nil
	w.publish("evil again", day0.Add(4*hour))
	w.refused(trust, day0.Add(4*hour), Untrusted, "good")
}

// Rule: a new root needs the threshold of the last one and its own, and the
// next number. Otherwise the one in force stays, and serves.
func TestAttackRoot(t *testing.T) {
	attacks := map[string]func(*world){
		"one of two signatures": func(w *world) {
			w.root(day0, w.roots[:1], func(*metadata.RootType) {})
		},
		"one key signs twice": func(w *world) {
			w.root(day0, w.roots[:1], func(*metadata.RootType) {})
			raw := w.files["metadata/2.root.json"]
			sig := raw[bytes.Index(raw, []byte(`"signatures":[`))+len(`"signatures":[`) : bytes.Index(raw, []byte(`],"signed"`))]
			w.files["metadata/2.root.json"] = bytes.Replace(raw, sig, append(append(append([]byte{}, sig...), ','), sig...), 1)
		},
		"not the last root's keys": func(w *world) {
			keys := newKeys(w.t, 2)
			w.root(day0, keys, func(r *metadata.RootType) {
				root := &metadata.Metadata[metadata.RootType]{Signed: *r}
				if err := replace(root, metadata.ROOT, r.Roles["root"].KeyIDs, publicOf(keys[0]), publicOf(keys[1])); err != nil {
					w.t.Fatal(err)
				}
			})
		},
		"not its own keys": func(w *world) {
			keys := newKeys(w.t, 2)
			w.root(day0, w.roots, func(r *metadata.RootType) {
				root := &metadata.Metadata[metadata.RootType]{Signed: *r}
				if err := replace(root, metadata.ROOT, r.Roles["root"].KeyIDs, publicOf(keys[0]), publicOf(keys[1])); err != nil {
					w.t.Fatal(err)
				}
			})
		},
		"a number left out": func(w *world) {
			w.root(day0, w.roots, func(r *metadata.RootType) { r.Version = 3 })
			w.files["metadata/2.root.json"] = w.files["metadata/3.root.json"]
		},
		"the same again": func(w *world) {
			w.files["metadata/2.root.json"] = w.files["metadata/1.root.json"]
		},
		"one key named twice": func(w *world) {
			w.root(day0, w.roots, func(r *metadata.RootType) {
				r.Roles["snapshot"].KeyIDs = append(r.Roles["snapshot"].KeyIDs, r.Roles["snapshot"].KeyIDs[0])
				r.Roles["snapshot"].Threshold = 2
			})
		},
		"one key under two ids": func(w *world) {
			w.root(day0, w.roots[:1], func(r *metadata.RootType) {
				id := r.Roles["root"].KeyIDs[0]
				again := *r.Keys[id]
				r.Keys["0000"] = &again
				r.Roles["root"].KeyIDs = []string{id, "0000"}
			})
			raw := w.files["metadata/2.root.json"]
			md, err := parse[metadata.RootType](raw)
			if err != nil {
				w.t.Fatal(err)
			}
			second := md.Signatures[0]
			second.KeyID = "0000"
			md.Signatures = append(md.Signatures, second)
			if w.files["metadata/2.root.json"], err = md.ToBytes(false); err != nil {
				w.t.Fatal(err)
			}
		},
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			trust := w.trusting(day0)
			honest := w.copy()
			attack(w)
			w.refused(trust, day0.Add(25*hour), Untrusted, "one")
			w.files = honest
			w.refresh(trust, day0.Add(25*hour))
		})
	}
}

// Rule: a refresh that was stopped by an attack is whole again with the first
// honest answer.
func TestHonestyHeals(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	w.publish("two", day0.Add(hour))
	honest := w.copy()
	forge(w, "metadata/2.targets.json", newKeys(t, 1), func(*metadata.TargetsType) {})
	w.refused(trust, day0.Add(hour), Untrusted, "one")
	w.files = honest
	w.refresh(trust, day0.Add(hour))
	w.believes(trust, "two")
}

var hostileShapes = []string{
	``, `null`, `[]`, `{}`, `"x"`, `{"signed":null}`, `{"signed":{}}`, `{"signed":{"_type":"timestamp"}}`,
	`{"signed":{"_type":"timestamp","version":1,"meta":{}},"signatures":[]}`,
	`{"signed":{"_type":"timestamp","version":9,"meta":{"snapshot.json":null}},"signatures":[]}`,
	`{"signed":{"_type":"timestamp","version":9,"meta":{"snapshot.json":null},"meta":{"snapshot.json":{"version":1}}},"signatures":[]}`,
	`{"signed":{"_type":"targets","version":9,"targets":{"x":null},"targets":{}},"signatures":[]}`,
	`{"signed":{"_type":"targets","version":9,"targets":{"x":null}},"signatures":[]}`,
	`{"signed":{"_type":"root","version":2,"keys":{"k":null},"roles":{"root":{"keyids":["k"],"threshold":1}}},"signatures":[]}`,
	`{"signed":{"_type":"root","version":2,"keys":{"k":{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"00"}}},"roles":{"root":{"keyids":["k"],"threshold":1}}},"signatures":[{"keyid":"k","sig":"00"}]}`,
	`{"signed":{"_type":"root","version":2,"roles":{"root":null}},"signatures":[null]}`,
	`{"signed":{"_type":"snapshot","version":-1,"meta":{}},"signatures":[]}`,
}

// Rule: bytes that would make the library dereference nothing, or a cipher
// panic, are refused like any other lie.
func TestHostileShapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, shape := range hostileShapes {
		for _, file := range []string{"metadata/2.root.json", "metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json"} {
			trust := w.open(t.TempDir())
			_, err := trust.Refresh(day0, func(name string, max int64, have string) ([]byte, error) {
				if name == file {
					return []byte(shape), nil
				}
				return w.get(name, max, have)
			})
			var e *Error
			if !errors.As(err, &e) || e.Kind != Untrusted || e.Name != file {
				t.Errorf("%s as %s: %v", file, shape, err)
			}
		}
		if trust := w.trusting(day0); trust.Vouches([]byte(shape), []byte("one")) == nil {
			t.Errorf("%s vouches", shape)
		}
		if _, err := Open(t.TempDir(), []byte(shape), day0); err == nil {
			t.Errorf("trust began with %s", shape)
		}
	}
}
