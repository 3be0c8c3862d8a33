package jobs

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const every10 = "<key>StartInterval</key><integer>10</integer>"

func second(n int) time.Duration { return time.Duration(n) * time.Second }

func status(t *testing.T, e *Embedded, target Target) Status {
	t.Helper()
	s, err := e.State(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return s.Status
}

// exactly is expect, and nothing more.
func exactly(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	expect(t, got, want...)
}

// Rule: nothing starts at load; then a start at each interval, counted from the
// load and not from an exit. Between them the job waits.
func TestStartInterval(t *testing.T) {
	play(t, every10, func(int) (time.Duration, Exit, error) { return second(3), Exit{Code: 1}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			time.Sleep(second(10) - 1)
			exactly(t, w.times())
			time.Sleep(second(25))
			exactly(t, w.times(), second(10), second(20), second(30))
			if s := status(t, e, target); s != Waiting {
				t.Fatal(s)
			}
		})
}

// Rule: RunAtLoad and Kickstart add starts and move no tick.
func TestStartIntervalIsAGrid(t *testing.T) {
	play(t, every10+"<key>RunAtLoad</key><true/>", func(int) (time.Duration, Exit, error) { return second(1), Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			time.Sleep(second(13))
			if err := e.Kickstart(t.Context(), target, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(second(20))
			exactly(t, w.times(), 0, second(10), second(13), second(20), second(30))
		})
}

// Rule: a run that is still going is not doubled, and the ticks that it covers
// are missed, not made up for.
func TestStartIntervalMissesWhileRunning(t *testing.T) {
	play(t, every10, func(n int) (time.Duration, Exit, error) { return second(27), Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			time.Sleep(second(75))
			exactly(t, w.times(), second(10), second(40), second(70))
		})
}

// Rule: lives shorter than FastLife and failed starts are no reason to be late
// for the next tick, and a failed start is not tried again before it.
func TestStartIntervalHasNoBrake(t *testing.T) {
	missing := errors.New("missing")
	play(t, "<key>StartInterval</key><integer>1</integer>", func(n int) (time.Duration, Exit, error) {
		if n%2 == 0 {
			return 0, Exit{}, missing
		}
		return time.Millisecond, Exit{Code: 1}, nil
	}, func(t *testing.T, e *Embedded, w *world, target Target) {
		time.Sleep(second(60) + 1)
		var want []time.Duration
		for n := range 60 {
			want = append(want, second(n+1))
		}
		exactly(t, w.times(), want...)
	})
}

// Rule: what KeepAlive wants and the brake delays is started by a tick.
func TestStartIntervalBesideKeepAlive(t *testing.T) {
	missing := errors.New("missing")
	play(t, "<key>StartInterval</key><integer>8</integer>"+keepAlive, func(n int) (time.Duration, Exit, error) {
		return 0, Exit{}, missing
	}, func(t *testing.T, e *Embedded, w *world, target Target) {
		time.Sleep(second(17))
		ms := time.Millisecond
		expect(t, w.times(), 0, 100*ms, 300*ms, 700*ms, 1500*ms, 3100*ms, 6300*ms, second(8), second(16))
	})
}

// Rule: ticks wait for the end of a hold and of ThrottleInterval, and several
// are one.
func TestStartIntervalWaits(t *testing.T) {
	play(t, every10+"<key>ThrottleInterval</key><integer>25</integer>",
		func(int) (time.Duration, Exit, error) { return second(1), Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			time.Sleep(second(5))
			if err := e.Hold(t.Context(), target, time.Now().Add(second(30))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(second(40)) // 45: ticks at 10, 20, 30 came while it was held, at 40 while it was throttled
			exactly(t, w.times(), second(35))
			if s := status(t, e, target); s != Throttled {
				t.Fatal(s)
			}
			time.Sleep(second(39)) // 84: throttled until 60, then until 85
			exactly(t, w.times(), second(35), second(60))
		})
}

// Rule: the ticks end with the job, and a new load begins a new grid.
func TestStartIntervalOfOneLoad(t *testing.T) {
	play(t, every10, func(int) (time.Duration, Exit, error) { return second(1), Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			time.Sleep(second(15))
			if err := e.Bootout(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			time.Sleep(second(30))
			if err := e.Bootstrap(t.Context(), System, w.path); err != nil {
				t.Fatal(err)
			}
			time.Sleep(second(15))
			exactly(t, w.times(), second(10), second(55))
		})
}

// Rule: a tick that comes while the job is being stopped starts nothing.
func TestStartIntervalWhileStopping(t *testing.T) {
	play(t, every10+"<key>ExitTimeOut</key><integer>60</integer>",
		func(int) (time.Duration, Exit, error) { return second(35), Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			time.Sleep(second(12))
			if err := e.Bootout(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			time.Sleep(second(60))
			exactly(t, w.times(), second(10))
			if want := []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT}; len(w.sent) != len(want) {
				t.Errorf("signals %v, want %v", w.sent, want)
			}
		})
}

// Rule: a job of ticks costs no wake-up while it runs, and one for each tick
// otherwise.
func TestStartIntervalTimer(t *testing.T) {
	play(t, every10, func(int) (time.Duration, Exit, error) { return time.Hour, Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			due := func() (at time.Time) {
				got, err := query(t.Context(), e, func(l *loop) (time.Time, error) {
					j := l.jobs[target]
					return j.due(l.wanted(j)), nil
				})
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			if at := due(); !at.Equal(w.begin.Add(second(10))) {
				t.Errorf("idle: due at %v", at)
			}
			time.Sleep(second(15))
			synctest.Wait()
			if at := due(); !at.IsZero() {
				t.Errorf("running: due at %v", at)
			}
		})
}
