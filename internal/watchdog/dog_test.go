package watchdog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// steps is a back-off of 10 s, 20 s, 30 s and so on.
type steps struct{ n, resets int }

func (s *steps) NextBackOff() time.Duration { s.n++; return time.Duration(s.n) * 10 * time.Second }
func (s *steps) Reset()                     { s.n, s.resets = 0, s.resets+1 }

// world is the other side of Env, in memory.
type world struct {
	mu    sync.Mutex // guards calls, told and fault
	t     *testing.T
	dog   *Dog
	back  *steps
	calls []string // "kick", "rekick", "kill 1", "hold 10s", "lift", "see 1 crash"
	told  []Status
	fault map[string]error           // by the first word of a call
	shows func(Life, Death) Evidence // what the witness answers
	stall func(Status) time.Duration // how long Report takes
}

func (w *world) call(format string, args ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := fmt.Sprintf(format, args...)
	w.calls = append(w.calls, c)
	return w.fault[strings.Fields(c)[0]]
}

func (w *world) env() Env {
	return Env{
		Kickstart: func(kill bool) error {
			if kill {
				return w.call("rekick")
			}
			return w.call("kick")
		},
		Kill: func(l Life) error { return w.call("kill %d", l) },
		Hold: func(until time.Time) error {
			if until.IsZero() {
				return w.call("lift")
			}
			return w.call("hold %v", time.Until(until))
		},
		Witness: func(l Life, d Death) Evidence {
			w.call("see %d %v", l, d.Class)
			if w.shows != nil {
				return w.shows(l, d)
			}
			return Evidence{}
		},
		Report: func(s Status) {
			w.mu.Lock()
			w.told = append(w.told, s)
			w.mu.Unlock()
			if w.stall != nil {
				time.Sleep(w.stall(s))
			}
		},
	}
}

var policy = Config{
	StartWithin: 10 * time.Second, Healthy: time.Minute, LostWithin: 2 * time.Second, FastDeaths: 3,
}

// inWorld runs a test against a running dog, and ends the dog afterwards.
func inWorld(t *testing.T, cfg Config, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, back: &steps{}, fault: map[string]error{}}
		cfg.Backoff = w.back
		w.dog = New(cfg, w.env())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.dog.Run(ctx) }()
		synctest.Wait()
		test(t, w)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run answers %v, want the end of its context", err)
		}
	})
}

func (w *world) status() Status {
	w.t.Helper()
	synctest.Wait()
	s, err := w.dog.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) is(want State) Status {
	w.t.Helper()
	s := w.status()
	if s.State != want {
		w.t.Fatalf("state is %v (%q), want %v; calls %v", s.State, s.Reason, want, w.calls)
	}
	return s
}

func (w *world) checkIn(l Life) {
	w.t.Helper()
	if err := w.dog.CheckedIn(l); err != nil {
		w.t.Fatalf("check-in of life %d: %v", l, err)
	}
}

func (w *world) start(l Life) {
	w.t.Helper()
	w.dog.Started(l, 100+int(l), time.Now())
	w.checkIn(l)
}

func (w *world) crash(l Life) { w.dog.Exited(l, Exit{Code: 2}) }

func (w *world) crashLoop(from, to Life) {
	for l := from; l <= to; l++ {
		w.start(l)
		w.crash(l)
	}
}

// did checks and forgets the calls since the last look.
func (w *world) did(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.calls, ", "); got != strings.Join(want, ", ") {
		w.t.Errorf("calls: %s\n want: %s", got, strings.Join(want, ", "))
	}
	w.calls = nil
}

func (w *world) forget() {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = nil
}

// fails makes that call answer err from now on; nil mends it.
func (w *world) fails(call string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault[call] = err
}

func later(d time.Duration) { time.Sleep(d); synctest.Wait() }
