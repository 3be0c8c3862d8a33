package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Sessions is Engine's. It asks, rather than to answer what was last known.
func (l *Launchd) Sessions(ctx context.Context) ([]Session, error) {
	if l.life.Err() != nil {
		return nil, wrap("list", "sessions", ErrClosed)
	}
	if err := l.refresh(ctx); err != nil {
		return nil, wrap("list", "sessions", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sessions), nil
}

func (l *Launchd) session(id string) *Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.ID == id {
			return &s
		}
	}
	return nil
}

func (l *Launchd) pollSessions() {
	var unknown complaint
	for {
		if err := l.refresh(l.life); l.life.Err() == nil {
			unknown.say(l.logf, "sessions", err)
		}
		if !sleep(l.life, l.o.Poll) {
			return
		}
	}
}

// refresh compares the logins with those known, tells the difference, and sees
// to it that each has its agents. A login is there before its domain is, so an
// agent that could not be loaded is tried again the next time.
func (l *Launchd) refresh(ctx context.Context) error {
	select {
	case l.polling <- struct{}{}:
		defer func() { <-l.polling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	found, err := l.o.Sessions(ctx)
	if err != nil {
		return err
	}
	l.exchange(usable(found))
	l.mu.Lock()
	sessions, agents := slices.Clone(l.sessions), slices.Clone(l.agents)
	l.mu.Unlock()
	var errs []error
	for _, s := range sessions {
		for _, spec := range agents {
			if err := l.enter(ctx, s, spec); err != nil && !errors.Is(err, ErrNoSession) {
				errs = append(errs, fmt.Errorf("session %s: %w", s.ID, err))
			}
		}
	}
	if ctx.Err() == nil {
		l.entries.say(l.logf, "agents", errors.Join(errs...))
	}
	return nil
}

// A complaint is what there was to say the last time. What lasts is said once.
type complaint struct{ text string }

func (c *complaint) say(logf func(string, ...any), about string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != c.text && text != "" {
		logf("%s: %s", about, text)
	}
	c.text = text
}

// usable are the sessions that launchd can be asked about, once each.
func usable(in []Session) (out []Session) {
	for _, s := range in {
		same := func(o Session) bool { return o.ID == s.ID }
		if isUID(s.ID) && !slices.ContainsFunc(out, same) {
			if s.Type == "" {
				s.Type = Aqua
			}
			s.Env = nil
			out = append(out, s)
		}
	}
	return out
}

func (l *Launchd) exchange(found []Session) {
	in := func(all []Session, s Session) bool {
		return slices.ContainsFunc(all, func(o Session) bool { return o.ID == s.ID })
	}
	l.mu.Lock()
	before := l.sessions
	l.sessions = found
	var lost []*unit
	for t, u := range l.units {
		if id := t.Session(); id != "" && (u.ours || u.out || u.refused) && !in(found, Session{ID: id}) && in(before, Session{ID: id}) {
			lost = append(lost, u)
		}
	}
	l.mu.Unlock()
	for _, u := range lost { // launchd ends a session's jobs with it
		if was := l.snapshot(u); was.ours || was.out {
			l.gone(u)
		}
		l.set(u, func(u *unit) { u.refused = false })
	}
	for _, s := range before {
		if !in(found, s) {
			l.emit(SessionClosed, "", &s)
		}
	}
	for _, s := range found {
		if !in(before, s) {
			l.emit(SessionOpened, "", &s)
		}
	}
}

// addAgent loads an agent into every session of its type, now and later.
func (l *Launchd) addAgent(ctx context.Context, spec *Spec) error {
	if err := l.refresh(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	if slices.ContainsFunc(l.agents, func(a *Spec) bool { return a.Label == spec.Label }) {
		l.mu.Unlock()
		return ErrAlreadyLoaded
	}
	l.agents = append(l.agents, spec)
	for t, u := range l.units {
		if t.Label() == spec.Label {
			u.refused = false
		}
	}
	sessions := slices.Clone(l.sessions)
	l.mu.Unlock()
	var errs []error
	for _, s := range sessions {
		if err := l.enter(ctx, s, spec); !errors.Is(err, ErrNoSession) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// enter sees to it that an agent is in a session, once: if somebody takes it out
// again, that was meant. launchd itself has loaded it at the login if its file
// lies in /Library/LaunchAgents.
func (l *Launchd) enter(ctx context.Context, s Session, spec *Spec) error {
	if !slices.Contains(spec.SessionTypes, s.Type) {
		return nil
	}
	u, err := l.begin(ctx, MakeTarget(SessionDomain(s.ID), spec.Label))
	if err != nil {
		return err
	}
	defer u.done()
	if now := l.snapshot(u); now.ours || now.out || now.refused || !l.isAgent(spec) {
		return nil
	}
	l.followed(ctx, u.target)
	there, err := l.loaded(ctx, u.name)
	if err == nil && !there {
		err = l.load(ctx, u, spec.File)
	}
	if err != nil && !errors.Is(err, ErrAlreadyLoaded) {
		late := errors.Is(err, ErrNoSession) || errors.Is(err, ErrBusy) || ctx.Err() != nil
		l.set(u, func(u *unit) { u.refused = !late })
		return err
	}
	l.set(u, func(u *unit) { u.ours, u.path, u.stop = true, spec.File, spec.ExitTimeOut })
	l.emit(Loaded, u.target, nil)
	l.followed(ctx, u.target)
	return nil
}

func (l *Launchd) isAgent(spec *Spec) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.agents, spec)
}

// dropAgent takes an agent out of every session.
func (l *Launchd) dropAgent(ctx context.Context, label string) error {
	if err := l.refresh(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	before := len(l.agents)
	l.agents = slices.DeleteFunc(l.agents, func(s *Spec) bool { return s.Label == label })
	found := len(l.agents) < before
	sessions := slices.Clone(l.sessions)
	l.mu.Unlock()
	var errs []error
	for _, s := range sessions {
		err := l.bootout(ctx, MakeTarget(SessionDomain(s.ID), label))
		if !errors.Is(err, ErrNotLoaded) {
			found = true
			errs = append(errs, err)
		}
	}
	if !found {
		return ErrNotLoaded
	}
	return errors.Join(errs...)
}
