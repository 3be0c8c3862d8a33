package watchdog

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Rule: a supervisor that has just started adopts what runs; nobody died.
func TestAdoption(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.dog.Started(41, 777, time.Now())
		w.checkIn(41)
		s := w.is(Up)
		if s.Life != 41 || s.PID != 777 || s.Restarts != 0 || s.Last != (Verdict{}) {
			t.Errorf("status %+v, want life 41, pid 777, no restart, no verdict", s)
		}
		w.did()
	})
}

// The check-in and the engine's news travel on two channels.
func TestCheckInBeforeStarted(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.checkIn(1)
		w.is(Up)
		w.dog.Started(1, 55, time.Now())
		if s := w.is(Up); s.PID != 55 {
			t.Errorf("pid %d, want 55", s.PID)
		}
		later(policy.StartWithin) // no start deadline is left over
		w.is(Up)
		w.did()
	})
}

// The next life's check-in may overtake the exit of this one: the exit still
// gives the verdict.
func TestCheckInBeforeTheExitOfTheLifeBefore(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.checkIn(2)
		w.is(Lost)
		w.dog.Lost(1)
		w.dog.Exited(1, Exit{Signal: 11})
		w.dog.Started(2, 102, time.Now())
		s := w.is(Up)
		if s.Life != 2 || s.PID != 102 || s.Last.Life != 1 || s.Last.Text != "signal 11 (segmentation fault)" || s.Tally != 1 {
			t.Errorf("status %+v, want life 2 up after life 1 died of signal 11", s)
		}
		w.did("see 1 none")
	})
}

// If that exit is never told, the life before is over all the same, and the
// new one is not killed in its place.
func TestExitThatIsNeverTold(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.checkIn(2)
		later(policy.LostWithin)
		if s := w.is(Up); s.Life != 2 || s.Last.Life != 1 {
			t.Errorf("status %+v, want life 2 up, life 1 judged", s)
		}
		w.did("see 1 none")
	})
}

func TestEarlySuccessorThatDiesEarly(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.checkIn(2)
		w.dog.Lost(2)
		w.crash(1)
		w.is(Down)
		w.dog.Started(2, 102, time.Now())
		w.crash(2)
		if s := w.is(Down); s.Tally != 2 || s.Last.Life != 2 {
			t.Errorf("status %+v, want two deaths, the last of life 2", s)
		}
	})
}

// The engine goes on to the next life without telling of an exit.
func TestEngineMovesOn(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.dog.Started(2, 102, time.Now())
		s := w.is(Starting)
		if s.Life != 2 || s.Last.Life != 1 || s.Last.Class != Crash || s.Last.Text != "gone without an exit report" {
			t.Errorf("status %+v, want life 2 starting and a verdict on life 1", s)
		}
	})
}

// On an engine that reports nothing, the closed connection is the news, and the
// next check-in ends the wait.
func TestEngineWithoutReports(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.checkIn(1)
		later(policy.StartWithin * 3) // no Started: no start deadline
		w.is(Up)
		w.dog.Lost(1)
		w.checkIn(2)
		if s := w.is(Up); s.Life != 2 || s.Tally != 1 || s.Last.Life != 1 {
			t.Errorf("status %+v, want life 2 up, one death", s)
		}
		w.did("see 1 none")
		w.dog.Lost(2)
		later(policy.LostWithin)
		if s := w.is(Down); s.Tally != 2 {
			t.Errorf("tally %d, want 2", s.Tally)
		}
		w.did("kill 2", "see 2 none")
	})
}

// An engine that reports exits is given the time to, after the kill as well:
// the exit makes the verdict.
func TestLostWithoutExit(t *testing.T) {
	for _, told := range []bool{false, true} {
		inWorld(t, policy, func(t *testing.T, w *world) {
			w.start(1)
			w.dog.Lost(1)
			later(policy.LostWithin - time.Millisecond)
			w.is(Lost)
			later(time.Millisecond)
			w.is(Dying)
			w.did("kill 1")
			want := "gone without an exit report"
			if told {
				w.dog.Exited(1, Exit{Signal: 9})
				want = "signal 9 (killed)"
			} else {
				later(policy.LostWithin)
			}
			if s := w.is(Down); s.Last.Class != Crash || s.Last.Text != want || s.Tally != 1 {
				t.Errorf("status %+v, want a crash: %s", s, want)
			}
			w.did("see 1 none")
		})
	}
}

// A restart of a life that has exited, but was not heard out, kills nobody.
func TestRestartAfterAnUnheardExit(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.dog.Exited(1, Exit{})
		go w.dog.Restart(t.Context())
		w.is(Down)
		w.did("see 1 none", "kick")
	})
}

// A life may check in again over a new connection, before or after the old one
// is seen to close.
func TestCheckInAgain(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.checkIn(1)
		w.dog.Lost(1)
		w.is(Up)
		w.dog.Lost(1)
		w.is(Lost)
		w.checkIn(1)
		later(2 * policy.LostWithin)
		w.is(Up)
		w.did()
	})
}

// Rule: a life lasts from the start that the engine tells, whenever it tells, and
// only where it tells none from the check-in; never for less than nothing.
func TestUptime(t *testing.T) {
	for name, c := range map[string]struct {
		live func(*world)
		want time.Duration
	}{
		"told, then checked in": {func(w *world) { w.start(1); later(time.Second) }, time.Second},
		"slow to check in": {func(w *world) {
			w.dog.Started(1, 101, time.Now())
			later(3 * time.Second)
			w.checkIn(1)
			later(time.Second)
		}, 4 * time.Second},
		"never checked in":    {func(w *world) { w.dog.Started(1, 101, time.Now()); later(3 * time.Second) }, 3 * time.Second},
		"told of late":        {func(w *world) { at := time.Now(); later(time.Second); w.checkIn(1); w.dog.Started(1, 101, at) }, time.Second},
		"adopted":             {func(w *world) { w.dog.Started(1, 101, time.Now().Add(-time.Hour)); w.checkIn(1) }, time.Hour},
		"not told":            {func(w *world) { w.checkIn(1); later(2 * time.Second) }, 2 * time.Second},
		"the clock went back": {func(w *world) { w.dog.Started(1, 101, time.Now().Add(time.Hour)); w.checkIn(1) }, 0},
		"nothing is known":    {func(w *world) { w.dog.Exited(1, Exit{Signal: 11}) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, policy, func(t *testing.T, w *world) {
				c.live(w)
				w.dog.Exited(1, Exit{Signal: 11})
				if s := w.is(Down); s.Last.Class != Crash || s.Last.Uptime != c.want {
					t.Errorf("verdict %+v, want an uptime of %v", s.Last, c.want)
				}
			})
		})
	}
}

func TestKilledWhenNeverReady(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.shows = func(Life, Death) Evidence { return Evidence{Class: Deadlock, Text: "other"} }
		w.dog.Started(1, 101, time.Now())
		later(policy.StartWithin)
		w.is(Dying)
		w.did("see 1 never-ready", "kill 1")
		w.dog.Exited(1, Exit{Signal: 9})
		s := w.is(Down)
		want := Verdict{Life: 1, Class: NeverReady, Text: "not checked in within 10s", At: s.Last.At, Uptime: policy.StartWithin}
		if s.Last != want {
			t.Errorf("verdict %+v, want %+v", s.Last, want)
		}
		w.did() // one witness for a life
	})
}

// A kill that goes wrong is tried again; the life is not buried alive.
func TestKillThatGoesWrong(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.fails("kill", errors.New("engine away"))
		w.start(1)
		w.dog.Lost(1)
		later(policy.LostWithin)
		if s := w.is(Dying); s.Reason != "kill: engine away" {
			t.Errorf("reason %q", s.Reason)
		}
		later(policy.LostWithin)
		w.is(Dying)
		w.fails("kill", nil)
		later(policy.LostWithin)
		w.is(Dying)
		w.dog.Exited(1, Exit{Signal: 9})
		w.is(Down)
		w.did("kill 1", "kill 1", "kill 1", "see 1 none")
	})
}

func TestMissedBeatsAreAHang(t *testing.T) {
	cfg := policy
	cfg.BeatWithin = 4 * time.Second
	inWorld(t, cfg, func(t *testing.T, w *world) {
		w.shows = func(Life, Death) Evidence { return Evidence{Class: Livelock, Text: "spins"} }
		w.start(1)
		for range 20 {
			later(3 * time.Second)
			w.dog.Beat(1)
		}
		w.is(Up)
		later(4*time.Second - time.Millisecond)
		w.is(Up)
		later(time.Millisecond)
		w.is(Dying)
		w.did("see 1 hang/deadlock", "kill 1")
		w.dog.Exited(1, Exit{Signal: 9})
		if s := w.is(Down); s.Last.Class != Livelock || s.Last.Text != "spins" {
			t.Errorf("verdict %+v, want the witness's livelock", s.Last)
		}
	})
}

// Rule: a stall of the machine is recorded and not counted. Our own timer comes
// late, so the job gets the whole time again.
func TestStallGivesTheTimeAgain(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.stall = func(s Status) time.Duration {
			if s.State == Starting && s.Reason == "" {
				return 15 * time.Second
			}
			return 0
		}
		w.dog.Started(1, 101, time.Now())
		later(15 * time.Second)
		if s := w.is(Starting); s.Reason != "the machine stood still for 5s" {
			t.Errorf("reason %q", s.Reason)
		}
		later(policy.StartWithin - time.Millisecond)
		w.is(Starting)
		later(time.Millisecond)
		w.is(Dying)
	})
}

func TestGoodbye(t *testing.T) {
	for _, c := range []struct {
		reason string
		exit   Exit
		class  Class
		tally  int
	}{
		{"idle", Exit{}, Idle, 0},
		{"stopping", Exit{CPU: time.Second}, Asked, 0},
		{"idle", Exit{Code: 1}, Crash, 1},
		{"idle", Exit{Signal: 6}, Crash, 1},
		{"", Exit{}, Crash, 1}, // status 0 is no excuse
	} {
		t.Run(c.reason+c.exit.describe(), func(t *testing.T) {
			inWorld(t, policy, func(t *testing.T, w *world) {
				w.start(1)
				if c.reason != "" {
					w.dog.Goodbye(1, c.reason)
				}
				w.dog.Lost(1)
				w.dog.Exited(1, c.exit)
				if s := w.is(Down); s.Last.Class != c.class || s.Tally != c.tally {
					t.Errorf("class %v, tally %d, want %v, %d", s.Last.Class, s.Tally, c.class, c.tally)
				}
			})
		})
	}
}

// The goodbye and the exit travel on two channels; who exited with status 0 is
// heard out before it is judged.
func TestExitBeforeGoodbye(t *testing.T) {
	for name, c := range map[string]struct {
		last  func(*world)
		class Class
	}{
		"goodbye":        {func(w *world) { w.dog.Goodbye(1, "idle"); w.dog.Lost(1) }, Idle},
		"silence":        {func(w *world) { w.dog.Lost(1) }, Crash},
		"no last word":   {func(w *world) { later(policy.LostWithin) }, Crash},
		"next life":      {func(w *world) { w.checkIn(2); w.dog.Goodbye(1, "idle"); w.dog.Lost(1) }, Idle},
		"next life only": {func(w *world) { w.checkIn(2); later(policy.LostWithin) }, Crash},
		"engine's news":  {func(w *world) { w.dog.Started(2, 102, time.Now()) }, Crash},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, policy, func(t *testing.T, w *world) {
				w.start(1)
				w.dog.Exited(1, Exit{})
				w.is(Lost)
				if err := w.dog.CheckedIn(1); !errors.Is(err, ErrStranger) {
					t.Errorf("check-in of a dead life: %v", err)
				}
				c.last(w)
				if s := w.status(); s.Last.Class != c.class || s.State == Lost {
					t.Errorf("state %v, verdict %v, want %v", s.State, s.Last.Class, c.class)
				}
				w.did("see 1 " + map[Class]string{Idle: "idle", Crash: "none"}[c.class])
			})
		})
	}
}

func TestRestart(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		done := make(chan error, 1)
		go func() { done <- w.dog.Restart(t.Context()) }()
		if s := w.is(Dying); s.Want != Running {
			t.Errorf("want is %v, want running", s.Want)
		}
		w.dog.Exited(1, Exit{Signal: 9})
		w.dog.Started(2, 102, time.Now())
		w.is(Starting)
		w.checkIn(2)
		if err := <-done; err != nil {
			t.Errorf("restart: %v", err)
		}
		s := w.is(Up)
		if s.Want != OnDemand || s.Tally != 0 || s.Restarts != 1 || s.Last.Class != Asked {
			t.Errorf("status %+v, want an uncounted end by request", s)
		}
		w.did("rekick", "see 1 asked")
	})
}

func TestRestartOverAnEarlySuccessor(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.checkIn(2)
		done := make(chan error, 1)
		go func() { done <- w.dog.Restart(t.Context()) }()
		if s := w.is(Dying); s.Life != 2 {
			t.Errorf("life %d is dying, want 2", s.Life)
		}
		w.checkIn(3) // why life 2 ends is known: no need to wait for its exit
		if err := <-done; err != nil {
			t.Errorf("restart: %v", err)
		}
		if s := w.is(Up); s.Life != 3 || s.Last.Class != Asked {
			t.Errorf("status %+v", s)
		}
	})
}

func TestRestartThatDoesNotComeUp(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		done := make(chan error, 1)
		go func() { done <- w.dog.Restart(t.Context()) }()
		synctest.Wait()
		w.dog.StartFailed(1, errors.New("no such file"))
		if err := <-done; err == nil || !strings.Contains(err.Error(), "start-failed: no such file") {
			t.Errorf("restart answers %v, want the verdict", err)
		}
		if s := w.is(Down); s.Want != OnDemand {
			t.Errorf("want is %v", s.Want)
		}
		w.fails("kick", errors.New("engine away"))
		if err := w.dog.Restart(t.Context()); err == nil || err.Error() != "engine away" {
			t.Errorf("restart answers %v, want the engine's error", err)
		}
	})
}

// Rule: requests are always answered, also at shutdown.
func TestShutdownAnswersEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, back: &steps{}}
		cfg := policy
		cfg.Backoff = w.back
		w.dog = New(cfg, w.env())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.dog.Run(ctx) }()
		w.start(1)
		answers := make(chan error, 2)
		go func() { answers <- w.dog.Restart(t.Context()) }()
		go func() { _, err := w.dog.Trial(t.Context(), TrialSpec{}, time.Hour); answers <- err }()
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-answers; !errors.Is(err, ErrStopped) {
				t.Errorf("answer %v, want ErrStopped", err)
			}
		}
		<-ended
		w.dog.Started(2, 1, time.Now()) // nobody listens: must not block
		if err := w.dog.CheckedIn(2); !errors.Is(err, ErrStopped) {
			t.Errorf("check-in: %v, want ErrStopped", err)
		}
		if _, err := w.dog.Status(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("status: %v, want ErrStopped", err)
		}
	})
}

// Who stops caring is let go, before Run and during it.
func TestAskerStopsCaring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := New(policy, Env{}).Status(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("status without Run: %v", err)
		}
	})
	inWorld(t, policy, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.dog.Restart(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("restart: %v, want the deadline", err)
		}
		w.start(1) // the late answer is nobody's and blocks nothing
		w.is(Up)
	})
}

// Each change is told once, in order.
func TestReports(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.dog.Beat(1)
		w.dog.Goodbye(9, "idle")
		w.crash(1)
		w.status()
		var got []string
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, s := range w.told {
			got = append(got, s.State.String())
		}
		if strings.Join(got, " ") != "down starting up down" {
			t.Errorf("told %v", got)
		}
	})
}
