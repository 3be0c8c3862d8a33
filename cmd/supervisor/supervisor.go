package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"portward/internal/bundle"
	"portward/internal/config"
	"portward/internal/evidence"
	"portward/internal/jobs"
	"portward/internal/page"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/update"
	"portward/internal/watchdog"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// A supervisor is what the doors and the dog share.
type supervisor struct {
	p      *program.Program
	cfg    config.Config
	engine jobs.Engine
	store  *evidence.Store
	dog    *watchdog.Dog
	log    func(format string, args ...any)
	heard  atomic.Pointer[jobs.Event] // the latest start or end of netchild that the engine told of

	updater *update.Updater
	slow    map[string]int // to qualify: the version, and how often in a row
	seal    *bundle.Seal   // of the live bundle, verified; nil when that is damaged
	known   *bundle.Known  // whose programs may check in; nil, too
	beats   bool           // netchild tells of its progress: no kernel watches it

	mu        sync.Mutex
	lives     map[watchdog.Life]*watched // what each checked-in life writes to
	candidate *candidate                 // nil: none proves itself
	sessions  []wire.SessionInfo
	probing   bool          // the probe counts as a login
	struck    watchdog.Life // the latest that we ended
	killed    watchdog.Life // the latest that somebody else did: the kernel, for want of memory, or a person

	desk       desk
	publishing sync.Mutex
	public     bool            // the bundle was verified and netchild's job is loaded
	told       watchdog.Status // what is public, or will be
	payload    status.Payload
	history    *history
}

// A watched life: the connection it checked in on, and the two memories that
// outlive it; nil where it beats.
type watched struct {
	conn   *xpcpeer.Conn
	page   *page.Page
	stacks *os.File
}

func (w *watched) close() {
	if w != nil && w.page != nil {
		w.page.Close()
		w.stacks.Close() // nil knows that it is closed
	}
}

// hear forwards the engine's events until ctx ends: lives to the dog, logins
// to netchild. What was running before this supervisor started is told first.
func (s *supervisor) hear(ctx context.Context) error {
	events, err := s.engine.Watch(ctx)
	if err != nil {
		return err
	}
	if err := s.refreshSessions(ctx); err != nil {
		return err
	}
	s.engine.Hold(ctx, netchild, time.Time{}) // we know nothing of our predecessor's tally
	if st, err := s.engine.State(ctx, netchild); err == nil && st.PID != 0 {
		s.dog.Started(watchdog.Life(st.Life), st.PID, st.Since)
	}
	go func() {
		for ev := range events {
			s.event(ctx, ev)
		}
	}()
	return nil
}

func (s *supervisor) event(ctx context.Context, ev jobs.Event) {
	life := watchdog.Life(ev.Life)
	switch {
	case ev.Kind == jobs.SessionOpened || ev.Kind == jobs.SessionClosed:
		if err := s.refreshSessions(ctx); err != nil {
			s.log("sessions: %v", err)
		}
	case ev.Kind == jobs.Overflow:
		panic("the engine's events overflowed: only a fresh start knows the truth")
	case ev.Target != netchild:
	case ev.Kind == jobs.Started:
		s.heard.Store(&ev)
		s.dog.Started(life, ev.PID, ev.Time)
	case ev.Kind == jobs.StartFailed:
		s.dog.StartFailed(life, errors.New(ev.Err))
	case ev.Kind == jobs.Exited:
		s.heard.Store(&ev)
		s.dog.Exited(life, watchdog.Exit(ev.Exit))
	}
}

// refreshSessions asks the engine who is logged in and tells every checked-in life.
func (s *supervisor) refreshSessions(ctx context.Context) error {
	list, err := s.engine.Sessions(ctx)
	if err != nil {
		return err
	}
	infos := make([]wire.SessionInfo, len(list))
	for i, l := range list {
		infos[i] = wire.SessionInfo{ID: l.ID, UID: uint64(l.UID)}
	}
	s.mu.Lock()
	if s.probing { // a login that does not exist
		infos = append(infos, wire.SessionInfo{ID: wire.ProbeSession, UID: uint64(s.probeUID())})
	}
	s.sessions = infos
	var conns []*xpcpeer.Conn
	for _, w := range s.lives {
		conns = append(conns, w.conn)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.Send(ctx, wire.Sessions{Sessions: infos}.Dict())
	}
	return nil
}
