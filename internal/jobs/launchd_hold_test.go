package jobs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

const fakeA = "system/test.a"

func (f *fakeLaunchd) has(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.job(name) != nil
}

// ended fails if a bootout has ended a life.
func (f *fakeLaunchd) ended(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lives != 0 {
		t.Fatalf("%d lives were ended by a hold", f.lives)
	}
}

// Rule: what waits is unloaded at once, is loaded as far as anybody is told, is
// not started, and is loaded again when the time has come.
func TestLaunchdHold(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		events, err := l.Watch(t.Context())
		want(t, err, nil)
		until := time.Now().Add(3 * time.Hour)
		want(t, l.Hold(t.Context(), testA, until), nil)
		if s := inState(t, l, Held); f.has(fakeA) || !s.HeldUntil.Equal(until) {
			t.Fatalf("held: %+v", s)
		}
		want(t, l.Kickstart(t.Context(), testA, true), ErrHeld)
		want(t, l.Bootstrap(t.Context(), System, f.file("test.a", "")), ErrAlreadyLoaded)
		if all, err := l.List(t.Context()); err != nil || len(all) != 1 || all[0].Status != Held {
			t.Fatalf("list: %+v, %v", all, err)
		}
		time.Sleep(time.Until(until) + time.Second)
		inState(t, l, Waiting)
		want(t, l.Kickstart(t.Context(), testA, false), nil)
		select {
		case e := <-events:
			t.Errorf("event %+v", e)
		default:
		}
	})
}

// Rule: a running life is never ended. The job is unloaded when it is over, also
// when clients have started the next one before that was seen.
func TestLaunchdHoldRunning(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		f.starts(fakeA)
		want(t, l.Hold(t.Context(), testA, time.Now().Add(time.Hour)), nil)
		if s := inState(t, l, Running); s.HeldUntil.IsZero() {
			t.Fatalf("running and held: %+v", s)
		}
		want(t, l.Kickstart(t.Context(), testA, true), ErrHeld)
		time.Sleep(time.Minute)
		f.dies(fakeA, 9)
		f.starts(fakeA) // a client was quicker than we look
		time.Sleep(time.Minute)
		inState(t, l, Running)
		f.dies(fakeA, 9)
		time.Sleep(50 * time.Millisecond)
		inState(t, l, Held)
		f.ended(t)
		time.Sleep(time.Hour)
		inState(t, l, Waiting)
		if n := f.count("list"); n > 200 {
			t.Errorf("launchctl ran %d times in two minutes of waiting for an end", n)
		}
	})
}

// Rule: a hold whose time is over before the life it waited for leaves no trace,
// and so does one that is lifted.
func TestLaunchdHoldUnused(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		f.starts(fakeA)
		for _, over := range []func(){
			func() { time.Sleep(time.Hour) },
			func() { want(t, l.Hold(t.Context(), testA, time.Time{}), nil) },
			func() { want(t, l.Hold(t.Context(), testA, time.Now().Add(-time.Hour)), nil) },
		} {
			want(t, l.Hold(t.Context(), testA, time.Now().Add(time.Minute)), nil)
			over()
			if s := inState(t, l, Running); !s.HeldUntil.IsZero() {
				t.Fatalf("after the hold: %+v", s)
			}
			want(t, l.Kickstart(t.Context(), testA, false), nil)
		}
		f.dies(fakeA, 0)
		time.Sleep(time.Hour)
		inState(t, l, Waiting)
		if f.count("bootout") != 0 {
			t.Errorf("calls: %q", f.calls)
		}
	})
}

// Rule: a hold can be lifted and moved while the job is unloaded, and Bootout of
// a held job ends both.
func TestLaunchdHoldChanges(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		hold := func(d time.Duration) { want(t, l.Hold(t.Context(), testA, time.Now().Add(d)), nil) }
		hold(time.Hour)
		want(t, l.Hold(t.Context(), testA, time.Time{}), nil)
		if inState(t, l, Waiting); !f.has(fakeA) {
			t.Fatal("not loaded")
		}
		hold(time.Minute)
		hold(time.Hour)
		time.Sleep(10 * time.Minute)
		inState(t, l, Held)
		hold(time.Minute)
		time.Sleep(2 * time.Minute)
		inState(t, l, Waiting)
		hold(time.Hour)
		want(t, l.Bootout(t.Context(), testA), nil)
		time.Sleep(2 * time.Hour)
		want(t, errOf(l.State(t.Context(), testA)), ErrNotLoaded)
		if f.has(fakeA) {
			t.Fatal("loaded again")
		}
	})
}

// Rule: a load that fails at the end of a hold is tried again until it works,
// less and less often; until then the job is held. Who lifts the hold is told.
func TestLaunchdHoldEndFails(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		want(t, l.Hold(t.Context(), testA, time.Now().Add(time.Minute)), nil)
		answers := []answer{}
		for range 8 {
			answers = append(answers, answer{code: 119})
		}
		f.plays("bootstrap", answers...)
		time.Sleep(time.Minute + time.Second)
		inState(t, l, Held)
		want(t, l.Hold(t.Context(), testA, time.Time{}), ErrDisabled)
		time.Sleep(10 * time.Minute)
		inState(t, l, Waiting)
		if n := f.count("bootstrap"); n != 1+8+1 {
			t.Errorf("%d loads", n)
		}
	})
}

// Rule: the order to unload is seen through though the asker has gone, so that
// no job is left out for ever; and what still drains is waited for at the end.
func TestLaunchdHoldHurried(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		ctx, cancel := context.WithCancel(t.Context())
		run := l.run
		l.run = func(c context.Context, args ...string) (answer, error) {
			if args[0] == "bootout" {
				cancel()
			}
			return run(c, args...)
		}
		want(t, l.Hold(ctx, testA, time.Now().Add(time.Minute)), nil)
		f.mu.Lock()
		f.jobs[fakeA] = &fakeJob{until: time.Now().Add(time.Minute + 3*time.Second)}
		f.mu.Unlock()
		time.Sleep(2 * time.Minute)
		inState(t, l, Waiting)
	})
}

// Rule: a job that somebody else unloads while it is to be held is not loaded.
func TestLaunchdHoldGone(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		f.starts(fakeA)
		want(t, l.Hold(t.Context(), testA, time.Now().Add(time.Hour)), nil)
		f.mu.Lock()
		delete(f.jobs, fakeA)
		f.mu.Unlock()
		time.Sleep(2 * time.Hour)
		want(t, errOf(l.State(t.Context(), testA)), ErrNotLoaded)
		synctest.Wait()
	})
}

// Rule: what an engine held that is gone is not loaded for the next one, which
// can load it; and a job that an earlier engine loaded is held by its file.
func TestLaunchdHoldOfAnother(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		path := f.file("test.a", "")
		want(t, l.Hold(t.Context(), testA, time.Now().Add(time.Minute)), nil)
		l.Close()
		time.Sleep(time.Hour)
		next := f.engine(LaunchdOptions{Plist: func(Target) string { return path }})
		defer next.Close()
		want(t, errOf(next.State(t.Context(), testA)), ErrNotLoaded)
		want(t, next.Hold(t.Context(), testA, time.Time{}), ErrNotLoaded)
		want(t, next.Bootstrap(t.Context(), System, path), nil)
		third := f.engine(LaunchdOptions{Plist: func(Target) string { return path }})
		defer third.Close()
		want(t, third.Hold(t.Context(), testA, time.Now().Add(time.Minute)), nil)
		time.Sleep(2 * time.Minute)
		inState(t, third, Waiting)
		if f.count("bootstrap system "+path) != 2 {
			t.Errorf("calls: %q", f.calls)
		}
	})
}
