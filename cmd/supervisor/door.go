package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"portward/internal/deadman"
	"portward/internal/jobs"
	"portward/internal/page"
	"portward/internal/program"
	"portward/internal/watchdog"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// openDoor listens for check-ins. Only the process that the engine runs as
// netchild, from the executable that the seal names, gets in, and the candidate
// while there is one.
func (s *supervisor) openDoor() error {
	_, err := xpcpeer.Listen(s.p.Transport(), s.p.Name(launchd.CheckInService), xpcpeer.Config{
		Policy:      s.mayCheckIn,
		Requirement: s.p.Requirement(launchd.NetChild, launchd.Supervisor),
		MaxPeers:    8,
		Log:         s.log,
		Accept: func(c *xpcpeer.Conn) (xpcpeer.Events, error) {
			if x := s.candidateOf(c.Evidence().PID); x != nil {
				return xpcpeer.Events{Message: x.checkIn}, nil
			}
			return xpcpeer.Events{Message: s.message, Invalid: s.gone}, nil
		},
	})
	return err
}

// mayCheckIn is the door's policy.
func (s *supervisor) mayCheckIn(ev *xpcpeer.Evidence) error {
	if x := s.candidateOf(ev.PID); x != nil {
		return program.Runs(ev, x.seal, launchd.Supervisor)
	}
	switch _, err := s.lifeOf(ev.PID); {
	case err != nil:
		return err
	case s.known == nil:
		return errors.New("the live bundle is damaged")
	}
	return program.Runs(ev, s.known, launchd.NetChild)
}

// message acts on what netchild says; anything out of order ends the connection.
func (s *supervisor) message(c *xpcpeer.Conn, m *xpcpeer.Message) {
	life, greeted := c.Value().(watchdog.Life)
	phase := wire.PhaseFresh
	if greeted {
		phase = wire.PhaseGreeted
	}
	kind, err := wire.KindOf(m.Dict())
	if err != nil || !wire.Permit(wire.RoleNetchild, phase, kind) {
		s.turnAway(c, m, wire.CodeNotPermitted, fmt.Errorf("%q when %v", kind, phase))
		return
	}
	switch kind {
	case wire.KindCheckIn:
		s.checkIn(c, m)
	case wire.KindGoodbye:
		g, err := wire.ParseGoodbye(m.Dict())
		if err != nil {
			s.turnAway(c, m, wire.CodeMalformed, err)
			return
		}
		s.dog.Goodbye(life, g.Reason)
	case wire.KindBeat:
		s.dog.Beat(life)
	case wire.KindLease:
		l, err := wire.ParseLease(m.Dict(), time.Now())
		if err != nil {
			s.turnAway(c, m, wire.CodeMalformed, err)
			return
		}
		s.updater.Lease(l.Until)
	default: // optional, and not known here
		m.Reply(wire.Refusal{Code: wire.CodeUnknown, Text: string(kind)}.Dict())
	}
}

func (s *supervisor) checkIn(c *xpcpeer.Conn, m *xpcpeer.Message) {
	in, err := wire.ParseCheckIn(m.Dict())
	if err != nil {
		s.turnAway(c, m, wire.CodeMalformed, err)
		return
	}
	version, err := wire.Negotiate(in.Min, in.Max)
	if err != nil {
		s.turnAway(c, m, wire.CodeRelaunch, err)
		return
	}
	life, err := s.lifeOf(c.Evidence().PID)
	if err != nil {
		s.turnAway(c, m, wire.CodeInternal, err)
		return
	}
	w, err := s.watch(c, life)
	if err == nil {
		if err = s.dog.CheckedIn(life); err != nil {
			s.forget(life)
		}
	}
	if err != nil {
		s.turnAway(c, m, wire.CodeInternal, fmt.Errorf("life %d: %w", life, err))
		return
	}
	c.SetValue(life) // from here on, the connection's end is news for the dog
	s.mu.Lock()
	sessions := s.sessions
	s.mu.Unlock()
	terms := wire.Terms{
		Version: version, Life: uint64(life), Sessions: sessions,
		HangLimit: time.Duration(s.cfg.HangLimit), HangGrace: time.Duration(s.cfg.HangGrace), Idle: time.Duration(s.cfg.Idle),
	}
	if w.page != nil {
		terms.Stacks, terms.Page = wire.FD(w.stacks), wire.FD(w.page.File())
	}
	if err := m.Reply(terms.Dict()); err != nil {
		s.log("check-in of life %d: %v", life, err)
	}
	s.log("life %d checked in: pid %d, build %s", life, c.Evidence().PID, in.Build)
}

// turnAway refuses a message and ends the connection it came on.
func (s *supervisor) turnAway(c *xpcpeer.Conn, m *xpcpeer.Message, code wire.Code, err error) {
	s.log("check-in refused (%s): %v", code, err)
	m.Reply(wire.Refusal{Code: code, Text: err.Error()}.Dict())
	c.Close()
}

// lifeOf answers which life of netchild that process is, as the engine counts and
// has told; what it may not have told yet it is asked.
func (s *supervisor) lifeOf(pid int) (watchdog.Life, error) {
	if ev := s.heard.Load(); ev != nil && ev.Kind == jobs.Started && pid != 0 && ev.PID == pid {
		return watchdog.Life(ev.Life), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineWithin)
	defer cancel()
	st, err := s.engine.State(ctx, netchild)
	if err == nil && (st.PID == 0 || st.PID != pid) {
		err = fmt.Errorf("pid %d is not netchild, which is pid %d", pid, st.PID)
	}
	return watchdog.Life(st.Life), err
}

// watch makes the two memories that life writes to, where the kernel watches it.
// A life that checks in again gets new ones.
func (s *supervisor) watch(c *xpcpeer.Conn, life watchdog.Life) (*watched, error) {
	w := &watched{conn: c}
	if !s.beats {
		var err error
		if w.page, err = page.New(deadman.Words); err == nil {
			w.stacks, err = deadman.NewStacks()
		}
		if err != nil {
			w.close()
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives[life].close()
	s.lives[life] = w
	return w, nil
}

// forget lets go of the memories of a life that did not get in.
func (s *supervisor) forget(life watchdog.Life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives[life].close()
	delete(s.lives, life)
}

// gone is a check-in connection's last event.
func (s *supervisor) gone(c *xpcpeer.Conn, err error) {
	if life, ok := c.Value().(watchdog.Life); ok {
		s.dog.Lost(life)
	}
}
