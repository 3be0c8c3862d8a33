package watchdog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Rule: back-off comes only after several fast deaths, and its end is announced.
func TestCrashLoopIsHeld(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.crashLoop(1, 2)
		w.is(Down)
		w.did("see 1 none", "see 2 none")
		w.crashLoop(3, 3)
		s := w.is(Held)
		if left := time.Until(s.Until); left != 10*time.Second {
			t.Errorf("held for %v, want 10s", left)
		}
		if s.Reason != "3 fast deaths in a row, the last by crash" {
			t.Errorf("reason %q", s.Reason)
		}
		w.did(ahead, "see 3 none", "hold 10s")
		later(10*time.Second - time.Millisecond)
		w.is(Held)
		later(time.Millisecond)
		if s := w.is(Down); !s.Until.IsZero() || s.Tally != 3 {
			t.Errorf("after the hold: %+v", s)
		}
		w.did() // the engine lifts a hold whose time has come
	})
}

// ahead is the hold that a life gets when its death would be the one too many.
const ahead = "hold 1m12s"

// Each further fast death is held at once, for longer.
func TestHoldsGrow(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.crashLoop(1, 3)
		for n := 2; n <= 5; n++ {
			later(time.Until(w.is(Held).Until))
			w.forget()
			life := Life(n + 2)
			w.crashLoop(life, life)
			w.is(Held)
			w.did(ahead, fmt.Sprintf("see %d none", life), fmt.Sprintf("hold %ds", n*10))
		}
	})
}

// Rule: a healthy stretch resets tally and back-off.
func TestHealthResets(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.crashLoop(1, 3)
		later(10 * time.Second)
		w.start(4)
		later(policy.Healthy - time.Millisecond)
		if s := w.is(Up); s.Tally != 3 {
			t.Errorf("tally %d before the stretch is over, want 3", s.Tally)
		}
		later(time.Millisecond)
		if s := w.is(Up); s.Tally != 0 || w.back.resets != 1 {
			t.Errorf("tally %d, %d resets after it, want 0 and 1", s.Tally, w.back.resets)
		}
		w.crash(4) // after health: no fast death
		if s := w.is(Down); s.Tally != 0 {
			t.Errorf("tally %d, want 0", s.Tally)
		}
		w.forget()
		w.crashLoop(5, 7)
		w.is(Held)
		w.did("see 5 none", "see 6 none", ahead, "see 7 none", "hold 10s")
	})
}

// Rule: the hold laid ahead of a death is lifted when that death does not come.
func TestAheadIsLifted(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.crashLoop(1, 2)
		w.forget()
		w.start(3)
		w.did(ahead)
		later(policy.Healthy)
		w.is(Up)
		w.did("lift")
		w.crashLoop(4, 5)
		w.forget()
		w.start(6)
		w.did(ahead)
		w.dog.Goodbye(6, "idle")
		w.dog.Exited(6, Exit{})
		w.dog.Lost(6)
		if s := w.is(Down); !s.Until.IsZero() {
			t.Errorf("after an idle end: %+v", s)
		}
		w.did("see 6 idle", "lift")
	})
}

// A lost connection interrupts the stretch.
func TestHealthStartsAgainAfterALoss(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.crashLoop(1, 1)
		w.start(2)
		later(policy.Healthy - time.Second)
		w.dog.Lost(2)
		w.checkIn(2)
		later(policy.Healthy - time.Second)
		if s := w.is(Up); s.Tally != 1 {
			t.Errorf("tally %d, want 1", s.Tally)
		}
		later(time.Second)
		if s := w.is(Up); s.Tally != 0 {
			t.Errorf("tally %d, want 0", s.Tally)
		}
	})
}

// Rule: a failed start is a death like any other, during back-off too.
// (canonical/pebble: it is never retried.)
func TestStartFailureIsADeathLikeAnyOther(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		for l := Life(1); l <= 3; l++ {
			w.dog.StartFailed(l, errors.New("no such file"))
		}
		s := w.is(Held)
		if s.Last.Class != StartFailed || s.Last.Text != "no such file" {
			t.Errorf("status %+v, want a held start failure", s)
		}
		later(10 * time.Second)
		w.dog.StartFailed(4, errors.New("no such file"))
		if left := time.Until(w.is(Held).Until); left != 20*time.Second {
			t.Errorf("held for %v, want 20s", left)
		}
		later(20 * time.Second)
		w.start(5)
		w.is(Up)
	})
}

// A life that comes up in spite of a hold is welcome; health lifts the hold.
func TestHoldIsLiftedByHealth(t *testing.T) {
	cfg := policy
	cfg.Healthy = 5 * time.Second
	inWorld(t, cfg, func(t *testing.T, w *world) {
		w.crashLoop(1, 3)
		w.start(4)
		if s := w.is(Up); s.Until.IsZero() {
			t.Error("the hold is forgotten while it goes on")
		}
		w.forget()
		later(cfg.Healthy)
		w.did("lift")
		if s := w.is(Up); !s.Until.IsZero() {
			t.Errorf("still held until %v", s.Until)
		}
	})
}

// If it leaves again without fault, the hold goes on to its old end.
func TestHoldOutlastsAGoodbye(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.crashLoop(1, 3)
		until := w.is(Held).Until
		w.start(4)
		w.dog.Goodbye(4, "idle")
		later(time.Second)
		w.dog.Exited(4, Exit{})
		if s := w.is(Held); s.Until != until {
			t.Errorf("held until %v, want %v", s.Until, until)
		}
		later(9 * time.Second)
		w.is(Down)
	})
}

func TestRestartLiftsAHold(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.crashLoop(1, 3)
		w.is(Held)
		w.forget()
		done := make(chan error, 1)
		go func() { done <- w.dog.Restart(t.Context()) }()
		w.is(Down)
		w.did("lift", "kick")
		w.start(4)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestHoldThatGoesWrongIsSaid(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.fails("hold", errors.New("engine away"))
		w.crashLoop(1, 3)
		if s := w.is(Held); !strings.HasSuffix(s.Reason, "; hold: engine away") {
			t.Errorf("reason %q", s.Reason)
		}
	})
}

// Rule: a stall of the machine is recorded and not counted.
func TestStallIsNotCounted(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.shows = func(Life, Death) Evidence { return Evidence{Class: Stall, Text: "stood still"} }
		w.crashLoop(1, 9)
		if s := w.is(Down); s.Tally != 0 || s.Last.Class != Stall || s.Last.Text != "stood still" {
			t.Errorf("status %+v, want an uncounted stall", s)
		}
	})
}
