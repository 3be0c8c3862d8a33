package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"portward/internal/deadman"
	"portward/internal/page"
	"portward/internal/watchdog"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// openDoor listens for check-ins. Only the process that the engine runs as
// netchild, from the executable that the seal names, gets in.
func (s *supervisor) openDoor() error {
	_, err := xpcpeer.Listen(s.p.Transport(), launchd.CheckInService, xpcpeer.Config{
		Policy:   s.isNetchild,
		MaxPeers: 8,
		Log:      s.log,
		Accept: func(c *xpcpeer.Conn) (xpcpeer.Events, error) {
			return xpcpeer.Events{Message: s.message, Invalid: s.gone}, nil
		},
	})
	return err
}

// isNetchild is the door's policy.
func (s *supervisor) isNetchild(ev *xpcpeer.Evidence) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	st, err := s.engine.State(ctx, netchild)
	if err != nil {
		return err
	}
	if st.PID == 0 || st.PID != ev.PID {
		return fmt.Errorf("pid %d is not netchild, which is pid %d", ev.PID, st.PID)
	}
	return runs(ev, s.known, launchd.NetChild)
}

// runs is nil where the process on the other side runs the program that has this
// identifier among those.
func runs(ev *xpcpeer.Evidence, those interface {
	Identify(*os.File) (string, error)
}, want string) error {
	exe, err := ev.Executable()
	if err != nil {
		return err
	}
	defer exe.Close()
	id, err := those.Identify(exe)
	if err == nil && id != want {
		err = fmt.Errorf("pid %d runs %q, not %q", ev.PID, id, want)
	}
	return err
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
	life := watchdog.Life(in.Life)
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
		Version: version, Sessions: sessions,
		Stacks: wire.FD(w.stacks), Page: wire.FD(w.page.File()),
		HangLimit: time.Duration(s.cfg.HangLimit), HangGrace: time.Duration(s.cfg.HangGrace), Idle: time.Duration(s.cfg.Idle),
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

// watch makes the two memories that life writes to. A life that checks in
// again gets new ones.
func (s *supervisor) watch(c *xpcpeer.Conn, life watchdog.Life) (*watched, error) {
	pg, err := page.New(deadman.Words)
	if err != nil {
		return nil, err
	}
	stacks, err := deadman.NewStacks()
	if err != nil {
		pg.Close()
		return nil, err
	}
	w := &watched{conn: c, page: pg, stacks: stacks}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.lives[life]; old != nil {
		old.close()
	}
	s.lives[life] = w
	return w, nil
}

// forget lets go of the memories of a life that did not get in.
func (s *supervisor) forget(life watchdog.Life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.lives[life]; w != nil {
		w.close()
		delete(s.lives, life)
	}
}

// gone is a check-in connection's last event.
func (s *supervisor) gone(c *xpcpeer.Conn, err error) {
	life, ok := c.Value().(watchdog.Life)
	if !ok {
		return
	}
	s.dog.Lost(life)
}
