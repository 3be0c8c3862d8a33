package tufrepo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Rule: an idle refresh is one request, a release four; once a day, and
// only then, an idle one looks for a new root.
func TestRequests(t *testing.T) {
	w := newWorld(t)
	trust := w.open(t.TempDir())
	steps := []struct {
		name string
		at   time.Duration
		do   func()
		want string
	}{
		{"first", 0, nil, "2.root timestamp 1.snapshot 1.targets"},
		{"idle", hour, nil, "timestamp"},
		{"idle still", 23 * hour, nil, "timestamp"},
		{"the next day", 24 * hour, nil, "2.root timestamp"},
		{"idle again", 25 * hour, nil, "timestamp"},
		{"signed anew", 26 * hour, func() { w.must(w.m.attest(w.m.targetsRaw, day0.Add(26*hour))) }, "timestamp 2.root 2.snapshot"},
		{"published", 27 * hour, func() { w.publish("two", day0.Add(27*hour)) }, "timestamp 2.root 3.snapshot 2.targets"},
		{"a new root", 28 * hour, func() {
			w.root(day0.Add(28*hour), w.roots, func(*metadata.RootType) {})
			w.publish("three", day0.Add(28*hour))
		}, "timestamp 2.root 3.root timestamp 4.snapshot 3.targets"},
		{"the clock went back", 1 * hour, nil, "3.root timestamp"},
	}
	for _, s := range steps {
		if s.do != nil {
			s.do()
		}
		w.asked = nil
		changed, err := trust.Refresh(day0.Add(s.at), w.get)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		got := strings.NewReplacer("metadata/", "", ".json", "").Replace(strings.Join(w.asked, " "))
		if got != s.want {
			t.Errorf("%s: asked for %s, want %s", s.name, got, s.want)
		}
		if want := s.do != nil || s.name == "first"; changed != want {
			t.Errorf("%s: changed is %v", s.name, changed)
		}
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Rule: a restart does not forget when the last walk was.
func TestWalkTimeIsKept(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	w.asked = nil
	w.refresh(w.open(trust.store.dir), day0.Add(hour))
	if len(w.asked) != 1 {
		t.Fatalf("asked for %q", w.asked)
	}
}

// Rule: more new roots than one walk takes are taken by the next.
func TestManyRoots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range maxRoots + 1 {
		w.root(day0, w.roots[:2], func(*metadata.RootType) {})
	}
	trust := w.open(t.TempDir())
	for _, want := range []int64{maxRoots + 1, maxRoots + 2} {
		if _, err := trust.Walk(day0, w.get); err != nil {
			t.Fatal(err)
		}
		if got := trust.root().md.Signed.Version; got != want {
			t.Fatalf("root version %d, want %d", got, want)
		}
	}
	if got := w.open(trust.store.dir).root().md.Signed.Version; got != maxRoots+2 {
		t.Fatalf("root version %d after a restart", got)
	}
}

// Rule: a mirror that lags is told to people when it lasts a day, across
// restarts, and no longer once it caught up. Being offline is not lagging.
func TestLaggingMirror(t *testing.T) {
	w := newWorld(t)
	old := w.copy()
	w.publish("two", day0.Add(hour))
	now := w.copy()
	trust := w.trusting(day0.Add(hour))
	warned := func(at time.Duration) bool {
		return slices.ContainsFunc(trust.Warnings(day0.Add(at)), func(s string) bool { return strings.Contains(s, "older than what is known") })
	}
	w.files = old
	w.refused(trust, day0.Add(2*hour), Stale, "two")
	w.refused(trust, day0.Add(25*hour), Stale, "two")
	if warned(25 * hour) {
		t.Fatal("warned too soon")
	}
	trust = w.open(trust.store.dir)
	if _, err := trust.Refresh(day0.Add(25*hour), func(string, int64, string) ([]byte, error) { return nil, errors.New("no network") }); err == nil {
		t.Fatal("no error")
	}
	if !warned(26 * hour) {
		t.Fatal("a day of nothing new, and no warning")
	}
	w.files = now
	if err := os.Remove(filepath.Join(trust.store.dir, timestampFile)); err != nil {
		t.Fatal(err)
	}
	trust = w.open(trust.store.dir) // with the snapshot alone it is seen, too
	w.files = old
	w.refused(trust, day0.Add(26*hour), Stale, "two")
	w.files = now
	w.refresh(trust, day0.Add(27*hour))
	if warned(60 * hour) {
		t.Fatal("it warns of a mirror that caught up")
	}
	w.files["metadata/timestamp.json"] = []byte("{}")
	w.refused(trust, day0.Add(28*hour), Untrusted, "two")
	if warned(60 * hour) {
		t.Fatal("it calls nonsense a mirror that lags")
	}
}

// Rule: a snapshot of the right number and other bytes than are listed is
// fetched again, when it is ours that differs.
func TestSameSnapshotVersionOtherBytes(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	w.publish("two", day0)
	w.refresh(trust, day0)
	raw := forge(w, "metadata/2.snapshot.json", w.m.onlineKeys, func(s *metadata.SnapshotType) { s.Expires = day0.Add(29 * day) })
	w.relist(raw, day0)
	w.refresh(trust, day0)
	if !trust.whole() || !bytes.Equal(trust.snapshot.raw, raw) {
		t.Fatal("it kept another snapshot than the one listed")
	}
}

// Rule: once something expired a refresh does not wait for the day to end.
func TestExpiredMeansWalk(t *testing.T) {
	w := newWorld(t)
	end := day0.Add(rootLife)
	w.publish("two", end.Add(-hour))
	trust := w.trusting(end.Add(-hour))
	w.root(end, w.roots, func(*metadata.RootType) {})
	w.refresh(trust, end.Add(hour))
	w.must(trust.Expired(end.Add(hour)))
}

// Rule: a root whose time is over stops installing and nothing else: what is
// trusted still answers, and a renewed root is found at once.
func TestRootExpiresWhileRunning(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	late := day0.Add(rootLife + hour)
	w.publish("two", late)
	w.refused(trust, late, Expired, "one")
	w.must(trust.Vouches(w.files["metadata/1.targets.json"], []byte("one")))
	if trust = w.open(trust.store.dir); trust.Expired(late) == nil || len(trust.Warnings(late)) == 0 {
		t.Fatal("nobody says that root expired")
	}
	w.root(late, w.roots, func(*metadata.RootType) {})
	w.refresh(trust, late)
	w.believes(trust, "two")
	w.must(trust.Expired(late))
}

// Rule: a new root is kept although the rest of the walk failed.
func TestNewRootOutlivesAFailedWalk(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	w.root(day0, w.roots, func(*metadata.RootType) {})
	w.files["metadata/timestamp.json"] = []byte("{}")
	w.refused(trust, day0.Add(25*hour), Untrusted, "one")
	if got := w.open(trust.store.dir).root().md.Signed.Version; got != 2 {
		t.Fatalf("root version %d", got)
	}
}

// Rule: a clock ten years back does not make old metadata fresh: the newest
// signed time is remembered, across restarts and without floor.json.
func TestClockTenYearsBack(t *testing.T) {
	w := newWorld(t)
	old := w.copy()
	w.publish("two", day0.Add(20*day))
	kept := w.copy()
	trust := w.trusting(day0.Add(20 * day))
	back := day0.Add(-3652 * day)
	w.refresh(trust, back)
	w.must(trust.Expired(back))

	// A client that lost all but the floor is shown the past.
	for _, file := range []string{"timestamp.json", "snapshot.json", "targets.json"} {
		w.must(w.open(trust.store.dir).store.write(change{file, nil}))
	}
	w.files = old
	bare := w.open(trust.store.dir)
	w.refused(bare, back, Expired, "")
	w.files = kept
	w.refresh(bare, back)
	w.believes(bare, "two")
}

// Rule: with a clock that is known to be wrong the floor goes on with what is
// signed, or a machine with a dead battery could be shown the past again.
func TestFloorRisesUnderADeadClock(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	back := day0.Add(-3652 * day)
	w.publish("two", day0.Add(40*day))
	w.refresh(trust, back)
	if !trust.floor.Issued.Equal(day0.Add(40 * day)) {
		t.Fatalf("the floor is %v", trust.floor.Issued)
	}
	w.must(trust.Expired(back))
}

// Rule: no clock is believed that shows a time before the program was built.
func TestBuildTimeIsAFloor(t *testing.T) {
	w := newWorld(t)
	trust, err := Open(t.TempDir(), w.files["metadata/1.root.json"], day0.Add(8*day))
	w.must(err)
	_, err = trust.Refresh(day0, w.get)
	var e *Error
	if !errors.As(err, &e) || e.Kind != Expired {
		t.Fatal(err)
	}
}

// Rule: a clock ten years ahead makes everything look expired as long as it is
// wrong, and leaves no trace.
func TestClockTenYearsAhead(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	w.refused(trust, day0.Add(3652*day), Expired, "one")
	w.publish("two", day0.Add(hour))
	w.refresh(trust, day0.Add(hour))
	w.believes(trust, "two")
	w.must(trust.Expired(day0.Add(hour)))
	if len(trust.Warnings(day0.Add(hour))) != 0 {
		t.Fatalf("it still warns: %q", trust.Warnings(day0.Add(hour)))
	}
}

// Rule: a signed time is not taken that lies behind the end of what it came
// with, or a day ahead of a credible clock; the latter is when its time comes.
func TestClaimsThatAreNotTaken(t *testing.T) {
	for name, issued := range map[string]time.Duration{"beyond its own end": 8 * day, "decades ahead": 9999 * day, "two days ahead": 2 * day} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			forge(w, "metadata/timestamp.json", w.m.onlineKeys, func(s *metadata.TimestampType) {
				s.UnrecognizedFields[issuedField] = day0.Add(issued).Format(time.RFC3339)
			})
			trust := w.trusting(day0)
			if !trust.floor.Issued.IsZero() {
				t.Fatalf("the floor is %v", trust.floor.Issued)
			}
			w.must(trust.Expired(day0))
			w.refresh(trust, day0.Add(1*day))
			if got, want := !trust.floor.Issued.IsZero(), issued == 2*day; got != want {
				t.Fatalf("a day later the floor is %v", trust.floor.Issued)
			}
			back := w.open(t.TempDir())
			back.built = day0 // so that the clock is known to be wrong
			w.refresh(back, day0.Add(-3652*day))
			if got, want := !back.floor.Issued.IsZero(), issued == 2*day; got != want {
				t.Fatalf("with a dead clock the floor is %v", back.floor.Issued)
			}
		})
	}
}

// Rule: a timestamp of the same number and other content changes nothing.
func TestSameVersionOtherContent(t *testing.T) {
	w := newWorld(t)
	trust := w.trusting(day0)
	forge(w, "metadata/timestamp.json", w.m.onlineKeys, func(s *metadata.TimestampType) {
		s.Meta["snapshot.json"].Version = 100
	})
	changed, err := trust.Refresh(day0.Add(hour), w.get)
	if changed || err != nil {
		t.Fatal(changed, err)
	}
	w.believes(trust, "one")
}

// Rule: target answers one SHA-256 and what was signed beside it; a target
// described in another way is not there.
func TestTarget(t *testing.T) {
	w := newWorld(t)
	w.must(w.m.publish(map[string]NewTarget{"a": {Data: []byte("a")}, "b": {Data: []byte("b")}}, nil, day0))
	targets := forge(w, "metadata/2.targets.json", w.m.targetsKeys, func(s *metadata.TargetsType) {
		s.Targets["a"].Hashes["sha512"] = make([]byte, 64)
		s.Targets["b"].Hashes = metadata.Hashes{"sha512": make([]byte, 64)}
	})
	w.relist(forge(w, "metadata/2.snapshot.json", w.m.onlineKeys, func(s *metadata.SnapshotType) {
		s.Meta["targets.json"] = listing(2, targets)
	}), day0)
	trust := w.trusting(day0)
	got, ok := trust.Target(sealName)
	if !ok || got.Name != sealName || got.Size != 3 || got.SHA256 != hashOf([]byte("one")) || string(got.Custom) != `{"version":"one"}` {
		t.Fatalf("%+v", got)
	}
	if want := "targets/stable/linux-amd64/" + got.SHA256 + ".seal.json"; got.File() != want {
		t.Fatalf("its file is %s", got.File())
	}
	for _, name := range []string{"a", "b", "c", ""} {
		if _, ok := trust.Target(name); ok {
			t.Errorf("there is a target %q", name)
		}
	}
}

// Rule: people are told of what they sign themselves 30, 14 and 7 days before,
// in words that change only then, and of daily signatures when they stop.
func TestWarn(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		role string
		left time.Duration
		want string
	}{
		{"root", 31 * day, ""}, {"root", 30 * day, "within 30 days"}, {"root", 15 * day, "within 30 days"},
		{"root", 14 * day, "within 14 days"}, {"root", 7 * day, "within 7 days"}, {"root", -1, "expired on"},
		{"targets", 30 * day, "within 30 days"}, {"targets", 1, "within 7 days"},
		{"snapshot", 29 * day, ""}, {"snapshot", 14 * day, "within 14 days"},
		{"timestamp", 6 * day, ""}, {"timestamp", 3 * day, "within 3 days"}, {"timestamp", -day, "expired on"},
	} {
		got := Warn([]Expiry{{c.role, 7, day0.Add(c.left)}}, day0)
		if c.want == "" && len(got) == 0 {
			continue
		}
		if len(got) != 1 || !strings.Contains(got[0], c.want) || !strings.Contains(got[0], c.role+".json version 7") {
			t.Errorf("%s with %v left: %q, want %q", c.role, c.left, got, c.want)
		}
	}
}
