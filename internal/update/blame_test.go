package update

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"portward/internal/durable"
	"portward/internal/status"
)

// Rule: what the machine may have done denies a release for a while, longer each
// time; its own fault denies it for good, and so does the second doubt.
func TestDeny(t *testing.T) {
	for _, c := range []struct {
		blames []blame
		pause  time.Duration // zero: for good
	}{
		{[]blame{its}, 0},
		{[]blame{doubtful}, time.Hour},
		{[]blame{doubtful, doubtful}, 0},
		{[]blame{doubtful, machines}, 2 * time.Hour},
		{[]blame{doubtful, machines, doubtful}, 0},
		{[]blame{machines}, time.Hour},
		{[]blame{machines, machines, machines}, 4 * time.Hour},
		{[]blame{machines, machines, machines, machines, machines, machines, machines}, 24 * time.Hour},
		{[]blame{machines, doubtful}, 2 * time.Hour},
		{[]blame{machines, doubtful, doubtful}, 0},
		{[]blame{machines, its}, 0},
		{[]blame{its, doubtful, machines}, 0},
	} {
		r := record{To: "B", ToVersion: "2.0.0", Denied: []status.Denied{{Hash: "A"}, {Hash: "C"}}}
		for _, b := range c.blames {
			r.deny("x", b)
		}
		d, _ := r.denied("B")
		if pause := d.Until.Sub(d.Time); len(r.Denied) != 3 || c.pause == 0 && !d.Until.IsZero() || c.pause > 0 && pause != c.pause || r.denial("B") == "" {
			t.Errorf("%v: %v (%+v)", c.blames, pause, r.Denied)
		}
	}
	r := record{To: "B"}
	if r.deny("x", nobodys); len(r.Denied) != 0 {
		t.Errorf("nobody is to blame: %+v", r.Denied)
	}
}

// Rule: a doubt ends with its time, or with a clock that was set back before it;
// what an older program wrote, without a time, does not end.
func TestDoubtEnds(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		d      status.Denied
		denied bool
	}{
		"now":              {status.Denied{Time: now.Add(-time.Minute), Until: now.Add(time.Hour)}, true},
		"over":             {status.Denied{Time: now.Add(-time.Hour), Until: now.Add(-time.Second)}, false},
		"in the future":    {status.Denied{Time: now.Add(87600 * time.Hour), Until: now.Add(87601 * time.Hour)}, false},
		"an older program": {status.Denied{Time: now.Add(-time.Hour)}, true},
	} {
		c.d.Hash = "B"
		if why := (record{Denied: []status.Denied{c.d}}).denial("B"); (why != "") != c.denied {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// later lets the time of every doubt go by.
func (s *scene) later(u *Updater) {
	s.t.Helper()
	if err := u.change(func(r *record) {
		for i := range r.Denied {
			if d := &r.Denied[i]; !d.Until.IsZero() {
				d.Until, d.Time = d.Until.Add(-25*time.Hour), d.Time.Add(-25*time.Hour)
			}
		}
	}); err != nil {
		s.t.Fatal(err)
	}
}

// Rule: a failure that may be the machine's is undone, and the release tried once
// more after an hour: it passes and nothing is held against it, or is denied.
func TestDoubt(t *testing.T) {
	for _, second := range []error{nil, &Failure{Class: "probe", Text: "again", Doubt: true}, &Failure{Class: "crash", Text: "its own"}} {
		s := newScene(t, "1.0.0")
		s.offer("2.0.0")
		s.trial = func(context.Context, TrialStep) error {
			return &Failure{Class: "probe", Text: "the door is full", Doubt: true}
		}
		s.take()
		u := s.settle()
		s.lives("1.0.0")
		if d := s.pay.Denied; len(d) != 1 || d[0].Until.Sub(d[0].Time) != doubtFor || s.rescue {
			t.Fatalf("denied %+v", d)
		}
		if err := s.check(u, "force"); err != nil {
			t.Error(err)
		}
		s.lives("1.0.0")
		if d := s.pay.Deferred; d == nil || !strings.HasPrefix(d.Why, "denied: until ") {
			t.Errorf("deferred %+v", d)
		}
		s.later(u)
		s.trial = func(context.Context, TrialStep) error { return second }
		if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
			t.Fatalf("it is not tried again: %v", err)
		}
		u = s.settle()
		if second == nil {
			if s.lives("2.0.0"); len(u.rec.Denied) != 0 {
				t.Errorf("it passed, and is denied: %+v", u.rec.Denied)
			}
			continue
		}
		s.lives("1.0.0")
		s.later(u)
		if err := s.check(u, "force"); err != nil {
			t.Error(err)
		}
		s.lives("1.0.0")
	}
}

// Rule: starts that the machine ends are held against no release, in Run or
// before it; too many undo it, and it is tried again later, however often.
func TestMachinesFaults(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	full := errors.New("no room for a process")
	s.trial = func(context.Context, TrialStep) error { return full }
	for round := range 3 {
		if round == 0 {
			s.take()
		}
		for n := range maxFaults {
			u := s.mustOpen()
			if !u.onTrial || u.rec.Attempts != 1 {
				t.Fatalf("round %d, start %d: on trial %v, %d attempts", round, n, u.onTrial, u.rec.Attempts)
			}
			if n%2 == 0 {
				u.Stumble(syscall.EMFILE)
			} else if err := u.Run(t.Context()); !errors.Is(err, full) {
				t.Fatal(err)
			}
		}
		if _, err := s.open(); !errors.Is(err, ErrHandOver) {
			t.Fatalf("a trial that the machine does not allow goes on: %v", err)
		}
		u := s.settle()
		s.lives("1.0.0")
		if d := s.pay.Denied; len(d) != 1 || d[0].Until.IsZero() || !strings.Contains(d[0].Why, "machine: ") {
			t.Fatalf("denied %+v", d)
		}
		s.later(u)
		if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
			t.Fatalf("it is not tried again: %v", err)
		}
	}
	s.trial = nil
	s.settle()
	s.lives("2.0.0")
}

// Rule: what the machine does excuses no crash, and is forgotten with the trial.
func TestFaultsAndCrashes(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	for range s.cfg.Attempts {
		s.mustOpen().Stumble(syscall.ENOMEM)
		s.mustOpen() // crashes
	}
	if _, err := s.open(); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	u := s.settle()
	if d := s.pay.Denied; len(d) != 1 || !d[0].Until.IsZero() || u.rec.Faults != 0 {
		t.Errorf("%d faults, denied %+v", u.rec.Faults, d)
	}
	gen := u.rec.Gen
	if u.Stumble(syscall.ENOMEM); u.rec.Gen != gen {
		t.Error("without a trial nothing is counted")
	}
}

// Rule: a revert that was cut off blames as it was meant to, by a start and by the
// rescue job.
func TestCutOffRevertKeepsItsBlame(t *testing.T) {
	for _, rescued := range []bool{false, true} {
		s := newScene(t, "1.0.0")
		s.offer("2.0.0")
		s.take()
		u := s.mustOpen()
		if err := u.change(func(r *record) { r.deny("probe", doubtful); r.settle(Reverted, "probe") }); err != nil {
			t.Fatal(err)
		}
		if rescued {
			if kick, err := Rescue(s.cfg); !kick || err != nil {
				t.Error(kick, err)
			}
		}
		s.settle()
		s.lives("1.0.0")
		if d := s.pay.Denied; len(d) != 1 || d[0].Until.IsZero() || d[0].Strikes != 1 {
			t.Errorf("rescued %v: denied %+v", rescued, d)
		}
	}
}

// Rule: the rescue job waits for nobody. Who holds the journal is at work, and
// left in peace; for ever is nobody.
func TestRescueOfAHolder(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	u := s.mustOpen()
	looks := func(n int, want bool) {
		t.Helper()
		for i := range n {
			if kick, err := Rescue(s.cfg); err != nil || kick != want {
				t.Fatalf("look %d: kick %v, want %v; %v", i+1, kick, want, err)
			}
		}
	}
	held := func(n int, want bool) {
		t.Helper()
		lock, err := durable.Lock(s.cfg.journal().lock())
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		looks(n, want)
	}
	for range 3 { // each supervisor that hangs has all the time again
		held(busyLook-1, false)
		held(1, true)
	}
	looks(lastLook-1, false)
	held(1, false) // somebody has begun
	looks(lastLook-1, false)
	s.lives("2.0.0")
	if err := u.revert("crash", its); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	for range 5 { // a good supervisor that takes long to recover, and often
		looks(lastLook-1, false)
		held(busyLook-1, false)
	}
	looks(lastLook-1, false)
	looks(1, true)
	s.lives("1.0.0")
}
