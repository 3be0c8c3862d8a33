package jobs

import (
	"fmt"
	"slices"
	"time"
)

// session is a login as the loop keeps it.
type session struct {
	Session
	leaving bool
}

func (l *loop) session(id string) *session {
	for _, s := range l.sessions {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// admits tells whether LimitLoadToSessionType names the session's type.
func admits(spec *Spec, s *session) bool { return slices.Contains(spec.SessionTypes, s.Type) }

func (l *loop) login(s Session) error {
	if l.closing {
		return ErrClosed
	}
	if l.session(s.ID) != nil {
		return ErrSessionExists
	}
	in := &session{Session: s}
	l.sessions = append(l.sessions, in)
	l.emitSession(SessionOpened, in)
	for _, spec := range l.agents {
		if admits(spec, in) {
			if err := l.loadAgent(spec, in); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loop) logout(id string, reply chan<- error) {
	s := l.session(id)
	if s == nil || s.leaving {
		reply <- ErrNoSession
		return
	}
	l.leave(s, func() { reply <- nil })
}

// leave ends a session: its jobs first.
func (l *loop) leave(s *session, done func()) {
	s.leaving = true
	var jobs []*job
	for _, j := range l.jobs {
		if j.target.Session() == s.ID {
			jobs = append(jobs, j)
		}
	}
	stopAll(jobs, func() {
		l.sessions = slices.DeleteFunc(l.sessions, func(o *session) bool { return o == s })
		l.emitSession(SessionClosed, s)
		done()
	})
}

func (l *loop) emitSession(k EventKind, s *session) {
	public := s.Session
	public.Env = nil
	l.emit(Event{Kind: k, Session: &public, Time: time.Now()})
}

// checkSession completes and refuses.
func checkSession(s *Session) error {
	if s.Type == "" {
		s.Type = Aqua
	}
	if _, err := sessionType(string(s.Type)); err != nil {
		return fmt.Errorf("type %q: %w", s.Type, ErrMalformed)
	}
	if err := checkName(s.ID); err != nil {
		return fmt.Errorf("id %q: %w", s.ID, err)
	}
	return nil
}

// stopNext stops whose turn it is when the engine closes: the sessions, then
// the system's jobs, then one by one those that are to be last.
func (l *loop) stopNext() {
	for _, s := range slices.Clone(l.sessions) {
		if !s.leaving {
			l.leave(s, func() {})
		}
	}
	turn, found := 0, []*job(nil)
	for _, j := range l.jobs {
		rank := l.rank(j)
		if len(found) == 0 || rank < turn {
			turn, found = rank, nil
		}
		if rank == turn {
			found = append(found, j)
		}
	}
	for _, j := range found {
		if !j.stop {
			stopAll([]*job{j}, func() {})
		}
		if l.killing {
			l.kill(j)
		}
	}
}

func (l *loop) rank(j *job) int {
	if j.session != nil {
		return 0
	}
	return 2 + slices.Index(l.e.opts.StopLast, j.target.Label())
}
