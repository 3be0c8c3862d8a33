package update

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"portward/internal/bundle"
	"portward/internal/status"
	"portward/internal/update/pipe"
)

// Rule: a healthy release is taken, proves itself before and after one full
// stop, and stays; the earlier one is retained, with a copy of its seal.
func TestHealthy(t *testing.T) {
	s := newScene(t, "1.0.0")
	old := s.hashOf(s.cfg.Live)
	s.offer("2.0.0")
	s.take()
	if !s.rescue {
		t.Error("the exchange happened without a rescue job")
	}
	u := s.settle()
	s.lives("2.0.0")
	if u.rec.State != Committed || s.stops != 1 || s.rescue {
		t.Errorf("state %v, %d stops, rescue %v; want committed, 1, false", u.rec.State, s.stops, s.rescue)
	}
	if got := s.hashOf(s.cfg.beside()); got != old {
		t.Errorf("retained is %q, want %q", got, old)
	}
	retained, err := os.ReadFile(s.cfg.RetainedSeal)
	if err != nil || hashed(string(retained)) != old {
		t.Errorf("the copy of the retained seal is not its: %v", err)
	}
	if u.discard(false); s.hashOf(s.cfg.beside()) != "" || !missing(s.cfg.RetainedSeal) {
		t.Error("the copy of the retained seal outlives it")
	}
	if s.pay.State != status.Installed || s.pay.Version != "2.0.0" || s.pay.Previous != "1.0.0" || s.pay.Phase != status.Idle {
		t.Errorf("status %+v", s.pay)
	}
}

func missing(path string) bool { _, err := os.Lstat(path); return errors.Is(err, os.ErrNotExist) }

// Rule: what did not change is linked, not fetched; only the rest is asked for.
func TestUnchangedIsLinked(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	if len(s.asked) != 3 { // supervisor, netchild, Info.plist
		t.Errorf("%d contents were fetched, want 3", len(s.asked))
	}
	a, err := os.Stat(bundle.Layout(s.cfg.Live).Program("guiagent"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(bundle.Layout(s.cfg.beside()).Program("guiagent"))
	if err != nil || !os.SameFile(a, b) {
		t.Errorf("guiagent is not one inode: %v", err)
	}
}

// Rule: a release that fails in either half is undone and not tried again,
// whoever asks for it; a person can unblock it.
func TestFailingIsUndone(t *testing.T) {
	for _, first := range []bool{true, false} {
		s := newScene(t, "1.0.0")
		bad := s.offer("2.0.0").Hash()
		s.trial = func(_ context.Context, step TrialStep) error {
			if step.First == first {
				return &Failure{Class: "crash", Text: "it fell over"}
			}
			return nil
		}
		s.take()
		u := s.settle()
		s.lives("1.0.0")
		if d := s.pay.Denied; len(d) != 1 || d[0].Hash != bad || d[0].Why != "crash: it fell over" {
			t.Errorf("denied: %+v", d)
		}
		if s.hashOf(s.cfg.beside()) != "" || s.rescue {
			t.Errorf("the bad bundle is retained, or the rescue job still runs")
		}
		if err := s.check(u, "force"); err != nil {
			t.Error(err)
		}
		s.lives("1.0.0")
		if d := s.pay.Deferred; d == nil || d.Version != "2.0.0" {
			t.Errorf("deferred: %+v", d)
		}
		if err := u.serve(t.Context(), Request{ID: "x", Op: "unblock", Arg: "2.0.0"}); err != nil {
			t.Error(err)
		}
		if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
			t.Errorf("an unblocked release is not taken: %v", err)
		}
	}
}

// Rule: an error of nobody's ends Run and condemns no release.
func TestNobodysFault(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	broken := errors.New("the engine is gone")
	s.trial = func(context.Context, TrialStep) error { return broken }
	if err := s.mustOpen().Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Run ended with %v", err)
	}
	s.trial = nil
	s.settle()
	s.lives("2.0.0")
}

// Rule: a supervisor that never passes is started so many times and no more.
func TestAttempts(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	for range s.cfg.Attempts {
		if u := s.mustOpen(); !u.OnTrial() {
			t.Fatal("not on trial")
		}
	}
	if _, err := s.open(); !errors.Is(err, ErrHandOver) {
		t.Fatalf("one start too many: %v", err)
	}
	s.settle()
	s.lives("1.0.0")
	if len(s.pay.Denied) != 1 {
		t.Errorf("denied: %+v", s.pay.Denied)
	}
}

// Rule: a reboot is a cold start.
func TestReboot(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	s.cfg.Boot = "boot 2"
	var steps []TrialStep
	s.trial = func(_ context.Context, step TrialStep) error { steps = append(steps, step); return nil }
	s.settle()
	if len(steps) != 1 || steps[0].First || s.stops != 0 {
		t.Errorf("steps %+v, %d stops", steps, s.stops)
	}
}

// Rule: what does not qualify never gets the live place, and is denied only if
// it is its own fault.
func TestQualify(t *testing.T) {
	for _, q := range []struct {
		err    error
		denied int
	}{{errors.New("no memory"), 0}, {&Failure{Class: "start-failed", Text: "no such interpreter"}, 1}} {
		s := newScene(t, "1.0.0")
		s.offer("2.0.0")
		s.qualify = q.err
		u := s.mustOpen()
		if err := s.check(u, "update"); !errors.Is(err, q.err) {
			t.Errorf("check: %v", err)
		}
		s.lives("1.0.0")
		if len(s.pay.Denied) != q.denied || s.pay.Error == "" || s.rescue {
			t.Errorf("%v: status %+v", q.err, s.pay)
		}
	}
}

// Rule: what the system does not take for signed does not even get to qualify, and
// is looked at where it lies whole.
func TestVerify(t *testing.T) {
	for _, fault := range []error{errors.New("no memory"), &Failure{Class: "signature", Text: "a sealed resource is missing"}} {
		s := newScene(t, "1.0.0")
		s.offer("2.0.0")
		s.qualify = errors.New("it was run")
		s.verify = func(staged string) error {
			if s.hashOf(staged) != s.offered.Hash() {
				t.Errorf("verifies %s", staged)
			}
			return fault
		}
		if err := s.check(s.mustOpen(), "update"); !errors.Is(err, fault) || errors.Is(err, s.qualify) {
			t.Errorf("check: %v", err)
		}
		s.lives("1.0.0")
		if f := (*Failure)(nil); errors.As(fault, &f) != (len(s.pay.Denied) == 1) {
			t.Errorf("%v: status %+v", fault, s.pay)
		}
	}
}

// Rule: a wrong content is asked for once more, whole; wrong again, nothing
// happens and the next check begins with what was right.
func TestCorruptContent(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	sum := hashed("netchild 2.0.0")
	s.corrupt[sum] = 2
	u := s.mustOpen()
	if err := s.check(u, "update"); !errors.Is(err, pipe.ErrCorrupt) {
		t.Fatalf("check: %v", err)
	}
	s.lives("1.0.0")
	s.corrupt[sum], s.asked = 1, nil
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Fatalf("check: %v", err)
	}
	s.lives("2.0.0")
	if len(s.asked) != 3 { // netchild twice, and the supervisor behind it
		t.Errorf("%d contents were fetched, want 3", len(s.asked))
	}
}

// Rule: a staged file that changed is made again; one that is nobody's spoils
// what is staged, once.
func TestStagingIsLookedAt(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.qualify = errors.New("not now")
	u := s.mustOpen()
	s.check(u, "update")
	staged := bundle.Layout(s.cfg.beside())
	if err := os.WriteFile(staged.Program("netchild"), []byte("netchild 6.6.6"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.check(u, "update"); !errors.Is(err, s.qualify) {
		t.Fatal(err)
	}
	if err := os.WriteFile(staged.Program("stranger"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	s.qualify = nil
	if err := s.check(u, "update"); err == nil || errors.Is(err, ErrHandOver) {
		t.Errorf("a stranger was staged: %v", err)
	}
	s.lives("1.0.0")
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	s.lives("2.0.0")
}

// Rule: nothing is installed while the metadata is expired or nobody vouches;
// what runs, runs on.
func TestUntrusted(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	u := s.mustOpen()
	s.expired = errors.New("expired")
	if err := s.check(u, "force"); !errors.Is(err, s.expired) {
		t.Error(err)
	}
	s.expired, s.vouchNot = nil, true
	if err := s.check(u, "force"); err == nil || errors.Is(err, ErrHandOver) {
		t.Error(err)
	}
	s.lives("1.0.0")
	if u := s.mustOpen(); u.Live() == nil { // it was vouched for when it was new
		t.Error("a lost store of metadata condemned the live bundle")
	}
}

// Rule: a recall undoes what is installed, from what is retained.
func TestRecall(t *testing.T) {
	s := newScene(t, "1.0.0")
	bad := s.offer("2.0.0").Hash()
	s.take()
	u := s.settle()
	s.rel.Bad = []string{bad}
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	u = s.settle()
	s.lives("1.0.0")
	if err := s.check(u, "force"); err != nil {
		t.Error(err)
	}
	s.lives("1.0.0")
	if s.stops != 2 { // the cold start, and the end of what was recalled
		t.Errorf("%d stops", s.stops)
	}
}

// Rule: an exchange that cannot be leaves the live bundle and nothing else
// behind, and the next check begins anew.
func TestExchangeFails(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	u := s.mustOpen()
	u.env.Rescue = func(_ context.Context, on bool) error {
		s.rescue = on
		return os.RemoveAll(s.cfg.beside())
	}
	if err := s.check(u, "update"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check: %v", err)
	}
	s.lives("1.0.0")
	if u.rec.State != Idle || s.rescue || s.pay.Error == "" || !missing(s.cfg.rescueProgram()) {
		t.Errorf("%q, status %+v", u.rec.State, s.pay)
	}
	u.env = s.env()
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Errorf("check: %v", err)
	}
	s.lives("2.0.0")
}

// Rule: a person goes back once, and what was left is not taken again.
func TestRollback(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	u := s.settle()
	if err := u.serve(t.Context(), Request{ID: "r", Op: "rollback"}); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	if a := s.pay.Answers; len(a) != 1 || a[0].Error != "" {
		t.Errorf("answers %+v", a)
	}
	u = s.settle()
	s.lives("1.0.0")
	if err := u.serve(t.Context(), Request{ID: "r", Op: "rollback"}); !errors.Is(err, errNoWayBack) {
		t.Error(err)
	}
	if err := s.check(u, "force"); err != nil {
		t.Error(err)
	}
	s.lives("1.0.0")
}

// Rule: a damaged live bundle is exchanged with the retained one; without one
// the release is installed anew, and its good files are used.
func TestDamaged(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	s.settle()
	damage := func() {
		path := bundle.Layout(s.cfg.Live).Program("netchild")
		os.Remove(path)
		os.WriteFile(path, []byte("torn"), 0o755)
	}
	damage()
	if _, err := s.open(); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	u := s.settle()
	s.lives("1.0.0")
	if len(u.rec.Denied) != 0 {
		t.Error("damage was taken for a release's fault")
	}
	damage()
	u = s.settle()
	if s.pay.State != status.Damaged || u.Live() != nil {
		t.Fatalf("status %+v", s.pay)
	}
	s.asked = nil
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	s.settle()
	s.lives("2.0.0")
	if len(s.asked) == 0 || len(s.asked) > 3 {
		t.Errorf("%d contents were fetched", len(s.asked))
	}
}

// Rule: a release that is found damaged while it is on trial is undone, by a
// start or by the rescue job, and not tried again.
func TestDamagedOnTrial(t *testing.T) {
	for _, rescued := range []bool{false, true} {
		s := newScene(t, "1.0.0")
		bad := s.offer("2.0.0").Hash()
		s.take()
		s.mustOpen()
		if err := os.Remove(bundle.Layout(s.cfg.Live).Program("netchild")); err != nil {
			t.Fatal(err)
		}
		for range lastLook {
			if !rescued {
				break
			}
			if _, err := Rescue(s.cfg); err != nil {
				t.Fatal(err)
			}
		}
		u := s.settle()
		s.lives("1.0.0")
		if d := s.pay.Denied; len(d) != 1 || d[0].Hash != bad || d[0].Version != "2.0.0" {
			t.Errorf("rescued %v: denied %+v", rescued, d)
		}
		if err := s.check(u, "force"); err != nil {
			t.Errorf("rescued %v: it is tried again: %v", rescued, err)
		}
		s.lives("1.0.0")
	}
}

// Rule: no-op updates leave the bundle alone and work in an empty directory.
func TestNoOp(t *testing.T) {
	s := newScene(t, "1.0.0")
	if err := NoOp(t.Context(), t.TempDir(), s.cfg.Live); err != nil {
		t.Error(err)
	}
	s.lives("1.0.0")
	os.Remove(bundle.Layout(s.cfg.Live).Program("netchild"))
	if NoOp(t.Context(), t.TempDir(), s.cfg.Live) == nil {
		t.Error("a damaged bundle updates itself")
	}
	s = newScene(t, "1.0.0")
	occupied := t.TempDir()
	if err := os.WriteFile(filepath.Join(occupied, "update"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if NoOp(t.Context(), occupied, s.cfg.Live) == nil {
		t.Error("there is a file in the way")
	}
}

// Rule: what was staged of another release does not get into the next one.
func TestStagedOfAnother(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.qualify = errors.New("not now")
	u := s.mustOpen()
	s.check(u, "update")
	if err := os.WriteFile(bundle.Layout(s.cfg.beside()).Program("stranger"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	s.qualify = nil
	s.offer("3.0.0")
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	s.lives("3.0.0")
}

// Rule: who asked for a change that ends the process is answered by the next.
func TestAnswerOutlives(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	if err := s.mustOpen().serve(t.Context(), Request{ID: "u1", Op: "force"}); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	s.pay = status.Payload{}
	s.mustOpen()
	if a := s.pay.Answers; len(a) != 1 || a[0].ID != "u1" || a[0].Error != "" {
		t.Errorf("answers %+v", a)
	}
	s.settle()
}

// Rule: a release that has no way back stays, and says why it should not.
func TestNoWayBack(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	s.mustOpen() // which puts the earlier bundle aside
	if err := os.Remove(bundle.Layout(s.cfg.beside()).Program("netchild")); err != nil {
		t.Fatal(err)
	}
	s.trial = func(context.Context, TrialStep) error { return &Failure{Class: "crash", Text: "it fell over"} }
	u := s.settle()
	s.lives("2.0.0")
	if u.rec.State != Committed || s.pay.Error == "" {
		t.Errorf("%v, status %+v", u.rec.State, s.pay)
	}
}

// Rule: a seed takes any release, also an older one; nobody can wait for more.
func TestSeed(t *testing.T) {
	s := newScene(t, "9.0.0")
	os.RemoveAll(s.cfg.Live)
	src := filepath.Join(t.TempDir(), "supervisor")
	if err := os.WriteFile(src, []byte("seed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Build(s.cfg.Live, map[string]string{"supervisor": src}, os.DirFS(t.TempDir()), "9.0.0", nil); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(bundle.Layout(s.cfg.Live).Tuf(), 0o755)
	os.WriteFile(filepath.Join(bundle.Layout(s.cfg.Live).Tuf(), "targets.json"), []byte("{}"), 0o644)
	s.offer("1.0.0")
	u := s.mustOpen()
	if s.pay.State != status.NoPayload {
		t.Errorf("status %+v", s.pay)
	}
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	s.trial = func(context.Context, TrialStep) error { return &Failure{Class: "never-ready", Text: "x"} }
	s.settle()
	if s.pay.State != status.NoPayload || len(s.pay.Denied) != 1 {
		t.Errorf("a failed first install did not go back to the seed: %+v", s.pay)
	}
}

// Rule: what a killed writer left in the staged bundle costs no download.
func TestStagedIsSwept(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.qualify = errors.New("not now")
	u := s.mustOpen()
	s.check(u, "update")
	staged := bundle.Layout(s.cfg.beside())
	for _, near := range []string{staged.Program("x"), staged.Seal(), filepath.Join(staged.Tuf(), "x")} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(near), ".tmp-123"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.qualify, s.asked = nil, nil
	if err := s.check(s.mustOpen(), "update"); !errors.Is(err, ErrHandOver) || len(s.asked) > 0 {
		t.Errorf("%v; %d contents were fetched again", err, len(s.asked))
	}
}
