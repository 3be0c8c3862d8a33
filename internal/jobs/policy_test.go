package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// world is a host without processes: each start is noted with its time, and
// fate decides what becomes of it.
type world struct {
	ready chan uint64
	path  string // of the job's plist

	mu     sync.Mutex
	starts []time.Duration // since the world began
	begin  time.Time
	fate   func(n int) (lives time.Duration, exit Exit, err error)
	sent   []syscall.Signal
	live   *fakeProcess
}

type fakeProcess struct {
	w   *world
	end chan Exit
	dur time.Duration
	x   Exit
}

func (p *fakeProcess) pid() int { return 1 }

func (p *fakeProcess) signal(s syscall.Signal) {
	p.w.mu.Lock()
	p.w.sent = append(p.w.sent, s)
	p.w.mu.Unlock()
	if s == syscall.SIGKILL {
		p.end <- Exit{Signal: int(s)}
	}
}

func (p *fakeProcess) wait() Exit {
	select {
	case x := <-p.end:
		return x
	case <-time.After(p.dur):
		return p.x
	}
}

func (w *world) start(*launch) (process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts = append(w.starts, time.Since(w.begin))
	d, x, err := w.fate(len(w.starts))
	if err != nil {
		return nil, err
	}
	w.live = &fakeProcess{w: w, end: make(chan Exit, 8), dur: d, x: x}
	return w.live, nil
}

func (w *world) times() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Duration(nil), w.starts...)
}

// play runs f in a bubble with an engine in that world, a job of keys loaded.
func play(t *testing.T, keys string, fate func(int) (time.Duration, Exit, error), f func(*testing.T, *Embedded, *world, Target)) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p")
	if err := os.WriteFile(path, []byte(xml("<key>Label</key><string>j</string><key>Program</key><string>/j</string>"+keys)), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{path: path, ready: make(chan uint64), begin: time.Now(), fate: fate}
		e, err := newEmbedded(Options{}, host{
			pin: func() {}, start: w.start, ready: w.ready, close: func() {},
			poll: func(uint64, []listener) {}, unpoll: func([]listener) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Bootstrap(t.Context(), System, path); err != nil {
			t.Fatal(err)
		}
		f(t, e, w, "system/j")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := e.Close(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

func xml(body string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>` + body + `</dict></plist>`
}

const keepAlive = "<key>KeepAlive</key><true/>"

// gaps are the times between starts.
func gaps(times []time.Duration) (g []time.Duration) {
	for i := 1; i < len(times); i++ {
		g = append(g, times[i]-times[i-1])
	}
	return g
}

func expect(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) < len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

// A failed start is retried after RelaunchMin, doubled up to RelaunchMax, and
// one that succeeds forgets it.
func TestFailedStartsBackOff(t *testing.T) {
	missing := errors.New("missing")
	play(t, keepAlive, func(n int) (time.Duration, Exit, error) {
		if n == 10 {
			return time.Minute, Exit{Code: 1}, nil
		}
		return 0, Exit{}, missing
	}, func(t *testing.T, e *Embedded, w *world, target Target) {
		time.Sleep(3 * time.Minute)
		ms := time.Millisecond
		expect(t, gaps(w.times()), 100*ms, 200*ms, 400*ms, 800*ms, 1600*ms, 3200*ms, 6400*ms,
			10*time.Second, 10*time.Second, time.Minute, 100*ms)
	})
}

// A job that cannot live is slowed down after FastDeaths, and a longer life
// sets the count back; an exit 0 is no excuse.
func TestFastDeathsBackOff(t *testing.T) {
	play(t, keepAlive, func(n int) (time.Duration, Exit, error) {
		if n == FastDeaths+3 {
			return FastLife, Exit{}, nil
		}
		return time.Millisecond, Exit{}, nil
	}, func(t *testing.T, e *Embedded, w *world, target Target) {
		time.Sleep(time.Minute)
		var want []time.Duration
		for range FastDeaths {
			want = append(want, time.Millisecond)
		}
		want = append(want, RelaunchMin+time.Millisecond, 2*RelaunchMin+time.Millisecond, FastLife)
		for range FastDeaths {
			want = append(want, time.Millisecond)
		}
		expect(t, gaps(w.times()), append(want, RelaunchMin+time.Millisecond)...)
	})
}

// ThrottleInterval lies between two starts, not between an exit and a start.
// Kickstart overrides it.
func TestThrottleInterval(t *testing.T) {
	play(t, keepAlive+"<key>ThrottleInterval</key><integer>10</integer>", func(int) (time.Duration, Exit, error) {
		return 3 * time.Second, Exit{Code: 1}, nil
	}, func(t *testing.T, e *Embedded, w *world, target Target) {
		time.Sleep(35 * time.Second)
		expect(t, gaps(w.times()), 10*time.Second, 10*time.Second, 10*time.Second)
		s, err := e.State(t.Context(), target)
		if err != nil || s.Status != Throttled {
			t.Fatalf("%+v, %v", s, err)
		}
		if err := e.Kickstart(t.Context(), target, false); err != nil {
			t.Fatal(err)
		}
		if g := gaps(w.times()); g[len(g)-1] != 5*time.Second {
			t.Fatalf("after Kickstart: %v", g)
		}
	})
}

// Hold keeps KeepAlive from starting until its moment, to the nanosecond, and a
// Kickstart that waits for the next life is told.
func TestHoldUntil(t *testing.T) {
	play(t, keepAlive, func(int) (time.Duration, Exit, error) { return time.Hour, Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			if err := e.Hold(t.Context(), target, time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if err := e.Kickstart(t.Context(), target, true); !errors.Is(err, ErrHeld) {
				t.Fatal(err)
			}
			synctest.Wait()
			w.live.signal(syscall.SIGKILL)
			time.Sleep(2 * time.Minute)
			expect(t, w.times(), 0, time.Minute)
		})
}

// Bootout sends SIGTERM, and SIGKILL when ExitTimeOut is over, not before.
func TestExitTimeOut(t *testing.T) {
	play(t, keepAlive+"<key>ExitTimeOut</key><integer>7</integer>",
		func(int) (time.Duration, Exit, error) { return time.Hour, Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			synctest.Wait()
			began := time.Now()
			if err := e.Bootout(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(began); d != 7*time.Second {
				t.Errorf("took %v", d)
			}
			want := []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT, syscall.SIGKILL}
			if fmt.Sprint(w.sent) != fmt.Sprint(want) {
				t.Errorf("signals %v, want %v", w.sent, want)
			}
		})
}

// A kill timer belongs to one stop: when the job ended in time it never fires,
// not in the next life of the same target either.
func TestKillTimerIsOfOneLife(t *testing.T) {
	play(t, "<key>ExitTimeOut</key><integer>7</integer>",
		func(int) (time.Duration, Exit, error) { return 5 * time.Second, Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			for range 2 {
				if err := e.Kickstart(t.Context(), target, false); err != nil {
					t.Fatal(err)
				}
				if err := e.Bootout(t.Context(), target); err != nil {
					t.Fatal(err)
				}
				if err := e.Bootstrap(t.Context(), System, w.path); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			want := []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT, syscall.SIGTERM, syscall.SIGCONT}
			if fmt.Sprint(w.sent) != fmt.Sprint(want) {
				t.Errorf("signals %v, want %v", w.sent, want)
			}
		})
}

// The loop drops what belongs to another life or another poll.
func TestStrangers(t *testing.T) {
	play(t, keepAlive, func(int) (time.Duration, Exit, error) { return time.Hour, Exit{}, nil },
		func(t *testing.T, e *Embedded, w *world, target Target) {
			synctest.Wait()
			e.tell(func(l *loop) { l.onEnded(ended{target, 7, Exit{Code: 1}}) })
			e.tell(func(l *loop) { l.onEnded(ended{"system/other", 1, Exit{}}) })
			w.ready <- 99
			s, err := e.State(t.Context(), target)
			if err != nil || s.Status != Running || s.Life != 1 || s.Last != nil {
				t.Fatalf("%+v, %v", s, err)
			}
		})
}

// KeepAlive's conditions, as launchd.plist(5) has them.
func TestKeepAliveAfter(t *testing.T) {
	yes, no := true, false
	ok, failed, killed := Exit{}, Exit{Code: 2}, Exit{Signal: int(syscall.SIGKILL)}
	broken := Exit{Signal: int(syscall.SIGSEGV)}
	for _, c := range []struct {
		name  string
		k     KeepAlive
		again [4]bool // after ok, failed, killed, broken
	}{
		{"nothing", KeepAlive{}, [4]bool{}},
		{"always", KeepAlive{Always: true}, [4]bool{true, true, true, true}},
		{"SuccessfulExit", KeepAlive{SuccessfulExit: &yes}, [4]bool{true, false, false, false}},
		{"not SuccessfulExit", KeepAlive{SuccessfulExit: &no}, [4]bool{false, true, true, true}},
		{"Crashed", KeepAlive{Crashed: &yes}, [4]bool{false, false, false, true}},
		{"not Crashed", KeepAlive{Crashed: &no}, [4]bool{true, true, true, false}},
		{"either", KeepAlive{SuccessfulExit: &yes, Crashed: &yes}, [4]bool{true, false, false, true}},
	} {
		for i, x := range []Exit{ok, failed, killed, broken} {
			if got := c.k.after(x); got != c.again[i] {
				t.Errorf("%s after %v: %v", c.name, x, got)
			}
		}
	}
}
