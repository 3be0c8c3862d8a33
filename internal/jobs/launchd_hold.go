package jobs

import (
	"context"
	"errors"
	"time"
)

// maxDoze bounds a wait for a time of the wall clock: a Mac that slept has not
// moved the clock that timers go by.
const maxDoze = time.Minute

// Hold is Engine's, by bootout and bootstrap: see Launchd. The job stays loaded,
// as far as this engine's State and events are concerned.
func (l *Launchd) Hold(ctx context.Context, t Target, until time.Time) error {
	u, err := l.begin(ctx, t)
	if err != nil {
		return wrap("hold", string(t), err)
	}
	defer u.done()
	return wrap("hold", string(t), l.hold(ctx, u, until))
}

func (l *Launchd) hold(ctx context.Context, u *unit, until time.Time) error {
	defer u.awake()
	if !l.snapshot(u).out {
		there, err := l.loaded(ctx, u.name)
		if err == nil && !there {
			err = ErrNotLoaded
		}
		if err != nil {
			return err
		}
	}
	before := l.snapshot(u)
	l.set(u, func(u *unit) { u.until = until })
	if !until.After(time.Now()) {
		l.set(u, func(u *unit) { u.until = time.Time{} })
		return l.lift(ctx, u)
	}
	if err := l.quarantine(ctx, u); err != nil {
		l.set(u, func(u *unit) { u.until = before.until })
		return err
	}
	l.startKeeping(u)
	return nil
}

// lift loads the job again, if it was unloaded for a hold. If somebody else was
// quicker, so much the better.
func (l *Launchd) lift(ctx context.Context, u *unit) error {
	if !l.snapshot(u).out {
		return nil
	}
	err := l.load(ctx, u, l.plistOf(u))
	if err != nil && !errors.Is(err, ErrAlreadyLoaded) {
		l.startKeeping(u) // which tries again
		return err
	}
	l.set(u, func(u *unit) { u.out, u.ours = false, true })
	return nil
}

// quarantine unloads a job that is to be held, if it does not run. What runs is
// noted: keep waits for its end.
func (l *Launchd) quarantine(ctx context.Context, u *unit) error {
	if l.snapshot(u).out {
		return nil
	}
	now, err := l.look(ctx, u.target)
	if err != nil {
		return err
	}
	if now.pid != 0 {
		l.set(u, func(u *unit) { u.pid, u.looked = now.pid, time.Now() })
		return nil
	}
	if err := l.expel(ctx, u); err != nil {
		return err
	}
	l.set(u, func(u *unit) { u.out = true })
	return nil
}

func (l *Launchd) plistOf(u *unit) string {
	if now := l.snapshot(u); now.path != "" {
		return now.path
	}
	return l.o.Plist(u.target)
}

func (u *unit) awake() { wake(u.wake) }

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// startKeeping is for whoever has the turn, so that there is one keep at most.
func (l *Launchd) startKeeping(u *unit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.Err() != nil || u.kept { // Close waits for no task that begins after it
		return
	}
	u.kept = true
	l.tasks.Go(func() { l.keep(u) })
}

// keep carries a hold out until it is over: waits for the end of a life, unloads
// the job, waits for the time, and loads it again, however often that takes.
func (l *Launchd) keep(u *unit) {
	for failed := time.Duration(0); l.take(l.life, u) == nil; {
		wait, err := l.step(u)
		if failed *= 2; err != nil {
			l.logf("holding %s: %v", u.target, err)
			failed = min(max(failed, time.Second), maxDoze)
			wait = failed
		} else {
			failed = 0
		}
		if wait == 0 {
			l.set(u, func(u *unit) { u.kept = false })
			u.done()
			return
		}
		u.done()
		doze(l.life, u.wake, min(wait, maxDoze))
	}
}

// doze waits for a time, or to be woken.
func doze(ctx context.Context, woken <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-woken:
	case <-t.C:
	}
}

// step does what is to be done now and answers how long there is nothing; 0 when
// the hold is over.
func (l *Launchd) step(u *unit) (time.Duration, error) {
	now := l.snapshot(u)
	left := time.Until(now.until)
	switch {
	case left <= 0:
		if now.out {
			return 0, l.lift(l.life, u)
		}
		return 0, nil
	case now.out:
		return left, nil
	case l.proc.alive(now.pid) && time.Since(now.looked) < l.o.Poll:
		return min(left, l.times.watch), nil
	}
	err := l.quarantine(l.life, u)
	if errors.Is(err, ErrNotLoaded) { // somebody unloaded it: there is nothing to hold
		l.gone(u)
		return 0, nil
	}
	return min(left, l.times.watch), err
}
