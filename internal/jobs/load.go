package jobs

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// load makes a job of spec in the system domain or in one session.
func (l *loop) load(t Target, spec *Spec, s *Session) error {
	if l.jobs[t] != nil {
		return ErrAlreadyLoaded
	}
	held, err := l.e.listen(t, spec)
	if err != nil {
		return err
	}
	if err := l.watchPaths(spec); err != nil {
		closeListeners(held)
		return err
	}
	now := time.Now()
	j := &job{
		target: t, spec: spec, session: s, held: held,
		life: l.lives[t], since: now,
		once: spec.RunAtLoad || spec.KeepAlive.atLoad(),
	}
	if spec.StartInterval > 0 {
		j.tickAt = now.Add(spec.StartInterval)
	}
	l.jobs[t] = j
	l.emit(Event{Target: t, Kind: Loaded, Time: now})
	return nil
}

// unload forgets an idle job.
func (l *loop) unload(j *job) {
	l.unpoll(j)
	closeListeners(j.held)
	delete(l.jobs, j.target)
	l.watchPaths(nil)
	l.emit(Event{Target: j.target, Kind: Unloaded, Time: time.Now()})
	for _, p := range j.gone {
		p.one()
	}
}

// stopAll tells jobs to end and calls done when they are gone.
func stopAll(jobs []*job, done func()) {
	p := &pending{left: len(jobs) + 1, done: done}
	for _, j := range jobs {
		j.stop = true
		j.refuse(ErrNotLoaded)
		j.gone = append(j.gone, p)
	}
	p.one()
}

// watchPaths has the paths of all jobs, and of more, watched.
func (l *loop) watchPaths(more *Spec) error {
	paths := map[string]bool{}
	add := func(s *Spec) {
		for _, p := range s.WatchPaths {
			paths[p] = true
		}
		for p := range s.KeepAlive.PathState {
			paths[p] = true
		}
	}
	for _, j := range l.jobs {
		add(j.spec)
	}
	if more != nil {
		add(more)
	}
	for p := range l.exists {
		if !paths[p] {
			delete(l.exists, p)
		}
	}
	return l.e.paths.set(paths)
}

// bootstrap is what Bootstrap does once the plist is read.
func (l *loop) bootstrap(d Domain, spec *Spec) error {
	if l.closing {
		return ErrClosed
	}
	if d == System {
		return l.load(MakeTarget(System, spec.Label), spec, nil)
	}
	if len(spec.MachServices)+len(spec.Sockets) > 0 {
		return &SpecError{File: spec.File, Err: fmt.Errorf("MachServices and Sockets of an agent: %w", errors.ErrUnsupported)}
	}
	if d != GUI {
		return l.bootstrapSession(d.Session(), spec)
	}
	return l.bootstrapAgent(spec)
}

func (l *loop) bootstrapSession(id string, spec *Spec) error {
	s := l.session(id)
	switch {
	case s == nil || s.leaving:
		return ErrNoSession
	case !admits(spec, s):
		return ErrSessionType
	}
	return l.loadAgent(spec, s)
}

// bootstrapAgent loads in every session or in none.
func (l *loop) bootstrapAgent(spec *Spec) error {
	if slices.ContainsFunc(l.agents, func(a *Spec) bool { return a.Label == spec.Label }) {
		return ErrAlreadyLoaded
	}
	for _, s := range l.sessions {
		if l.jobs[MakeTarget(SessionDomain(s.ID), spec.Label)] != nil {
			return fmt.Errorf("session %s: %w", s.ID, ErrAlreadyLoaded)
		}
	}
	for _, s := range l.sessions {
		if admits(spec, s) && !s.leaving {
			if err := l.loadAgent(spec, s); err != nil {
				return err
			}
		}
	}
	l.agents = append(l.agents, spec)
	return nil
}

func (l *loop) loadAgent(spec *Spec, s *session) error {
	return l.load(MakeTarget(SessionDomain(s.ID), spec.Label), spec, &s.Session)
}

// bootout stops the target, or the agent in all sessions.
func (l *loop) bootout(t Target, reply chan<- error) {
	var found []*job
	known := false
	if t.Domain() == GUI {
		n := len(l.agents)
		l.agents = slices.DeleteFunc(l.agents, func(a *Spec) bool { return a.Label == t.Label() })
		known = len(l.agents) < n
		for _, s := range l.sessions {
			if j := l.jobs[MakeTarget(SessionDomain(s.ID), t.Label())]; j != nil && known {
				found = append(found, j)
			}
		}
	} else if j := l.jobs[t]; j != nil {
		known, found = true, []*job{j}
	}
	if !known {
		reply <- ErrNotLoaded
		return
	}
	stopAll(found, func() { reply <- nil })
}

func (l *loop) kickstart(t Target, kill bool, reply chan<- error) {
	j := l.jobs[t]
	switch {
	case j == nil || j.stop:
		reply <- ErrNotLoaded
	case l.closing:
		reply <- ErrClosed
	case j.isHeld(time.Now()):
		reply <- ErrHeld
	case j.phase == running && !kill:
		reply <- nil
	case j.phase == starting && !kill:
		j.kicks = append(j.kicks, kick{j.life - 1, reply})
	default:
		j.kicks = append(j.kicks, kick{j.life, reply})
		l.kill(j)
	}
}

// kill ends the present life, if there is one, without asking.
func (l *loop) kill(j *job) {
	switch j.phase {
	case starting:
		j.killNext = true
	case running:
		j.proc.signal(syscall.SIGKILL)
	}
}

// hold measures until against the clock of now, so that a clock set later
// does not move it.
func (l *loop) hold(t Target, until time.Time) error {
	j := l.jobs[t]
	if j == nil || j.stop {
		return ErrNotLoaded
	}
	now := time.Now()
	j.heldUntil = time.Time{}
	if d := until.Sub(now); !until.IsZero() && d > 0 {
		j.heldUntil = now.Add(d)
		j.refuse(ErrHeld)
	}
	return nil
}
