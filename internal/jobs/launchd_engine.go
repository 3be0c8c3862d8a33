package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bootstrap is Engine's.
func (l *Launchd) Bootstrap(ctx context.Context, d Domain, path string) error {
	err := d.Check()
	if err == nil {
		err = plistPath(path)
	}
	if err != nil {
		return wrap("bootstrap", path, err)
	}
	spec, err := LoadSpec(path)
	if err != nil {
		return wrap("bootstrap", string(d), err)
	}
	t := MakeTarget(d, spec.Label)
	if d == GUI {
		return wrap("bootstrap", string(t), l.addAgent(ctx, spec))
	}
	return wrap("bootstrap", string(t), l.bootstrap(ctx, t, spec))
}

func (l *Launchd) bootstrap(ctx context.Context, t Target, spec *Spec) error {
	if id := t.Session(); id != "" {
		if s := l.session(id); s != nil && !slices.Contains(spec.SessionTypes, s.Type) {
			return ErrSessionType
		}
		if _, err := l.place(t.Domain()); err != nil {
			return err
		}
	}
	u, err := l.begin(ctx, t)
	if err != nil {
		return err
	}
	defer u.done()
	if l.snapshot(u).out {
		return ErrAlreadyLoaded // and held
	}
	l.followed(ctx, t) // what is new from now on is news
	if err := l.load(ctx, u, spec.File); err != nil {
		return err
	}
	l.set(u, func(u *unit) { u.ours, u.path, u.stop = true, spec.File, spec.ExitTimeOut })
	l.emit(Loaded, t, nil)
	l.followed(ctx, t)
	return nil
}

// Bootout is Engine's.
func (l *Launchd) Bootout(ctx context.Context, t Target) error {
	err := t.Check()
	switch {
	case err != nil:
	case t.Domain() == GUI:
		err = l.dropAgent(ctx, t.Label())
	default:
		err = l.bootout(ctx, t)
	}
	return wrap("bootout", string(t), err)
}

func (l *Launchd) bootout(ctx context.Context, t Target) error {
	u, err := l.begin(ctx, t)
	if err != nil {
		return err
	}
	defer u.done()
	if !l.snapshot(u).out {
		err := l.expel(ctx, u)
		if err == nil {
			err = l.awaitGone(ctx, u)
		}
		if err != nil {
			return err
		}
	}
	l.followed(ctx, u.target)
	l.gone(u)
	return nil
}

// gone forgets a job that is not loaded any more.
func (l *Launchd) gone(u *unit) {
	l.set(u, func(u *unit) { u.ours, u.out, u.until = false, false, time.Time{} })
	u.awake()
	l.emit(Unloaded, u.target, nil)
}

// Kickstart is Engine's.
func (l *Launchd) Kickstart(ctx context.Context, t Target, kill bool) error {
	u, err := l.begin(ctx, t)
	if err != nil {
		return wrap("kickstart", string(t), err)
	}
	defer u.done()
	if now := l.snapshot(u); now.out || now.until.After(time.Now()) {
		return wrap("kickstart", string(t), ErrHeld)
	}
	defer l.followed(ctx, t)
	return wrap("kickstart", string(t), l.kickstart(ctx, u, kill))
}

// kickstart asks with -p, which makes launchd answer for the start.
func (l *Launchd) kickstart(ctx context.Context, u *unit, kill bool) error {
	args := []string{"kickstart", "-p", u.name}
	if kill {
		args = []string{"kickstart", "-k", "-p", u.name}
	}
	for end := time.Now().Add(l.times.settle); ; {
		a, err := l.run(ctx, args...)
		switch {
		case err != nil:
			return err
		case a.code == 0 && parsePID(a.stdout) > 0:
			return nil
		case a.code == 0:
			return l.started(ctx, u)
		case a.code == codeAlready && !kill: // it runs, or is about to
			return nil
		case !passing(a.code) || !time.Now().Before(end):
			return refusedStart(a)
		}
		if !sleep(ctx, l.times.pause) {
			return ctx.Err()
		}
	}
}

// refusedStart is a refusal that is ErrStart where it says nothing better.
func refusedStart(a answer) error {
	err := refusal(a)
	for _, known := range []error{ErrNotLoaded, ErrStart, ErrDisabled, ErrBusy} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrStart, err)
}

// started judges a start for which launchd gave no process: it may have ended.
func (l *Launchd) started(ctx context.Context, u *unit) error {
	now, err := l.look(ctx, u.target)
	if err == nil && now.pid == 0 && now.last != nil && now.last.Code == configExit {
		err = fmt.Errorf("%w: no process, and exit code %d\nhint: the program that %s names may be missing or not executable", ErrStart, configExit, u.target.Label())
	}
	return err
}

// State is Engine's, as far as launchd tells: see Launchd.
func (l *Launchd) State(ctx context.Context, t Target) (State, error) {
	s, err := l.state(ctx, t)
	return s, wrap("state", string(t), err)
}

func (l *Launchd) state(ctx context.Context, t Target) (State, error) {
	_, err := l.name(t)
	if err == nil && l.life.Err() != nil {
		err = ErrClosed
	}
	if err != nil {
		return State{}, err
	}
	s := State{Target: t, Status: Waiting}
	l.mu.Lock()
	u := l.units[t]
	if u != nil && (u.out || u.until.After(time.Now())) {
		s.Status, s.HeldUntil = Held, u.until
	}
	out, tr := u != nil && u.out, l.trails[t]
	if out && tr != nil {
		s = tr.trace(s)
	}
	l.mu.Unlock()
	if out {
		return s, nil
	}
	var saw sight
	var now trail // of a job that is not followed: no numbers
	if tr != nil {
		saw, now, err = l.lookAlong(ctx, tr)
	} else {
		saw, err = l.see(ctx, t)
	}
	if err == nil && !saw.loaded {
		err = ErrNotLoaded
	}
	if err != nil {
		return State{}, err
	}
	if s.PID, s.Last = saw.pid, saw.last; s.PID != 0 {
		s.Status = Running
	}
	return now.trace(s), nil
}

// List is Engine's, for the jobs that this engine knows: see Launchd.
func (l *Launchd) List(ctx context.Context) ([]State, error) {
	all := []State{}
	for _, t := range l.known() {
		s, err := l.state(ctx, t)
		switch {
		case err == nil:
			all = append(all, s)
		case !errors.Is(err, ErrNotLoaded):
			return nil, wrap("list", "jobs", err)
		}
	}
	return all, nil
}

// known are the targets of List, in order.
func (l *Launchd) known() []Target {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Target
	for t, u := range l.units {
		if u.ours || u.out {
			all = append(all, t)
		}
	}
	for _, t := range l.o.Jobs {
		if t.Domain() != GUI {
			all = append(all, t)
			continue
		}
		for _, s := range l.sessions {
			all = append(all, MakeTarget(SessionDomain(s.ID), t.Label()))
		}
	}
	slices.SortFunc(all, func(a, b Target) int { return strings.Compare(string(a), string(b)) })
	return slices.Compact(all)
}
