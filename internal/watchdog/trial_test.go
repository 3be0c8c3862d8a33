package watchdog

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type trialEnd struct {
	v   Verdict
	err error
}

func (w *world) try(ctx context.Context, spec TrialSpec, window time.Duration) <-chan trialEnd {
	end := make(chan trialEnd, 1)
	go func() {
		v, err := w.dog.Trial(ctx, spec, window)
		end <- trialEnd{v, err}
	}()
	synctest.Wait()
	return end
}

func (w *world) undecided(end <-chan trialEnd) {
	w.t.Helper()
	synctest.Wait()
	select {
	case e := <-end:
		w.t.Fatalf("decided too early: %+v", e)
	default:
	}
}

func (w *world) decided(end <-chan trialEnd, want Class) Verdict {
	w.t.Helper()
	synctest.Wait()
	select {
	case e := <-end:
		if e.err != nil || e.v.Class != want {
			w.t.Fatalf("trial ended with %+v, want %v", e, want)
		}
		return e.v
	default:
		w.t.Fatal("not decided")
	}
	panic("unreachable")
}

// Rule: health is counted in observed healthy time.
func TestTrialCountsTimeInUp(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		end := w.try(t.Context(), TrialSpec{}, 30*time.Second)
		later(time.Hour) // down: nothing is counted
		w.start(1)
		later(20*time.Second + time.Millisecond)
		w.dog.Goodbye(1, "idle")
		w.dog.Exited(1, Exit{})
		later(time.Minute)
		w.start(2)
		later(10*time.Second - 2*time.Millisecond)
		w.undecided(end)
		later(time.Millisecond)
		if v := w.decided(end, Healthy); v.Uptime != 30*time.Second || v.Life != 2 {
			t.Errorf("verdict %+v, want 30s, life 2", v)
		}
	})
}

// Rule: the first death that counts fails a trial; that of a life before it does
// not.
func TestTrialFailsByDeath(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.crash(1)
		end := w.try(t.Context(), TrialSpec{}, time.Minute)
		w.undecided(end)
		w.dog.StartFailed(2, errors.New("no such file"))
		if v := w.decided(end, StartFailed); v.Life != 2 || v.Text != "no such file" {
			t.Errorf("verdict %+v, want that of life 2", v)
		}
	})
}

func TestTrialBearsWhatIsNoFault(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		end := w.try(t.Context(), TrialSpec{}, 10*time.Second)
		w.dog.Goodbye(1, "idle")
		w.dog.Exited(1, Exit{})
		w.start(2)
		go w.dog.Restart(t.Context())
		synctest.Wait()
		w.dog.Exited(2, Exit{Signal: 9})
		w.start(3)
		later(10 * time.Second)
		w.decided(end, Healthy)
	})
}

func TestTrialDeadline(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		end := w.try(t.Context(), TrialSpec{Deadline: time.Minute}, 50*time.Second)
		later(15 * time.Second)
		w.start(1)
		later(45*time.Second - time.Millisecond)
		w.undecided(end)
		later(time.Millisecond)
		if v := w.decided(end, NeverReady); v.Text != "healthy for 45s of 50s after 1m0s" {
			t.Errorf("text %q", v.Text)
		}
	})
}

// While the machine stands still, neither health nor the deadline goes on.
func TestTrialDoesNotCountAStall(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.stall = func(s Status) time.Duration {
			if s.Tally == 1 && s.State == Up && s.Reason == "" {
				return time.Hour
			}
			return 0
		}
		w.crashLoop(1, 1)
		end := w.try(t.Context(), TrialSpec{Deadline: time.Minute}, 30*time.Second)
		w.start(2)
		later(time.Hour)
		w.undecided(end)
		later(28 * time.Second)
		w.undecided(end)
		later(2 * time.Second)
		w.decided(end, Healthy)
	})
}

func TestOneTrialAtATime(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		first := w.try(ctx, TrialSpec{}, time.Hour)
		if e := <-w.try(t.Context(), TrialSpec{}, time.Hour); !errors.Is(e.err, ErrOnTrial) {
			t.Errorf("second trial: %v, want ErrOnTrial", e.err)
		}
		cancel()
		if e := <-first; !errors.Is(e.err, context.Canceled) {
			t.Errorf("first trial: %v, want its context's end", e.err)
		}
		third := w.try(t.Context(), TrialSpec{}, 5*time.Second)
		w.start(1)
		later(5 * time.Second)
		w.decided(third, Healthy)
	})
}
