package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"portward/internal/deadman"
	"portward/internal/page"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// answerWithin bounds one attempt to check in. A supervisor that is being
// replaced is waited for in the next attempt.
const answerWithin = 5 * time.Second

// checkIn connects to the supervisor and stays connected until ctx ends: a
// supervisor that crashed or was replaced is checked in with again. It answers
// the terms of the first check-in.
func (n *netchild) checkIn(ctx context.Context) (wire.Terms, error) {
	again := make(chan struct{}, 1)
	wake := func(c *xpcpeer.Conn) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if c != n.supervisor {
			return // we closed it ourselves
		}
		n.leases.to(nil) // or what is told next would reach its successor ungreeted
		select {
		case again <- struct{}{}:
		default:
		}
	}
	cfg := xpcpeer.Config{
		Policy:      n.isSupervisor,
		Requirement: n.p.Requirement(launchd.Supervisor),
		Log:         n.log,
		Events: xpcpeer.Events{
			Message:     n.fromSupervisor,
			Interrupted: wake,
			Invalid:     func(c *xpcpeer.Conn, _ error) { wake(c) },
		},
	}
	first := make(chan wire.Terms, 1)
	go func() {
		for told := false; ctx.Err() == nil; {
			select {
			case <-again: // an earlier attempt's
			default:
			}
			terms, err := n.checkInOnce(ctx, cfg)
			if err != nil {
				n.log("check-in: %v", err)
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
				continue
			}
			if !told {
				told = true
				first <- terms
			}
			select {
			case <-ctx.Done():
			case <-again:
			}
		}
	}()
	select {
	case t := <-first:
		return t, nil
	case <-ctx.Done():
		return wire.Terms{}, ctx.Err()
	}
}

// checkInOnce makes a connection of its own, so that nothing of an earlier
// attempt can be taken for its answer.
func (n *netchild) checkInOnce(ctx context.Context, cfg xpcpeer.Config) (wire.Terms, error) {
	c := xpcpeer.Dial(n.transport, n.p.Name(launchd.CheckInService), cfg)
	n.mu.Lock()
	old := n.supervisor
	n.supervisor = c
	n.mu.Unlock()
	if old != nil {
		old.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	told := n.logins.heard()
	d, err := c.Call(ctx, wire.CheckIn{Life: n.life.Load(), Build: n.p.Build, Min: wire.VersionMin, Max: wire.VersionMax}.Dict())
	if err != nil {
		return wire.Terms{}, err
	}
	defer d.Close()
	terms, err := wire.ParseTerms(d)
	if err != nil {
		return wire.Terms{}, err
	}
	if err := n.hub.SetLimit(ctx, terms.HangLimit); err != nil {
		return wire.Terms{}, err
	}
	if err := n.heart.take(terms, c); err != nil {
		return wire.Terms{}, err
	}
	if terms.Life != 0 { // the engine's number, as this supervisor knows it: where it counts anew, so do we
		n.life.Store(terms.Life)
	}
	n.logins.set(told, terms.Sessions)
	n.leases.to(c)
	return terms, nil
}

// isSupervisor is netchild's policy for the process that answers at the
// check-in name: root, or whoever runs the whole product.
func (n *netchild) isSupervisor(ev *xpcpeer.Evidence) error {
	switch {
	case ev.UID == 0:
		return nil
	case n.otherUser(ev):
		return fmt.Errorf("uid %d is neither root nor our own", ev.UID)
	}
	return n.sealed(ev, launchd.Supervisor)
}

func (n *netchild) fromSupervisor(c *xpcpeer.Conn, m *xpcpeer.Message) {
	s, err := wire.ParseSessions(m.Dict())
	if err != nil {
		n.log("supervisor: %v", err)
		return
	}
	n.logins.tell(s.Sessions)
}

// A heart shows that the hub's loop gets on: to the kernel, on the page that the
// supervisor handed over, or, where no kernel timer watches, in messages to it.
type heart struct {
	mu sync.Mutex
	pulse
}

// A pulse is one of the two ways.
type pulse struct {
	timer *deadman.Timer
	page  *page.Page

	listener *xpcpeer.Conn // nil: the kernel watches
	every    time.Duration // the least time between two messages
	told     time.Time
}

// take arms the timers on the terms' page and sends this process's last words
// to the terms' stacks; terms without a page came over c, and want messages. It
// takes the handles.
func (h *heart) take(t wire.Terms, c *xpcpeer.Conn) error {
	defer t.Page.Close()
	defer t.Stacks.Close()
	if f, ok := t.Stacks.File(); ok {
		if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
			return fmt.Errorf("crash output: %w", err)
		}
	}
	f, ok := t.Page.File()
	if !ok {
		h.replace(pulse{listener: c, every: t.HangLimit / 8})
		return nil
	}
	pg, err := page.Open(f, deadman.Words)
	if err != nil {
		return fmt.Errorf("the progress page: %w", err)
	}
	timer, err := deadman.Arm(t.HangLimit, t.HangGrace, pg)
	if err != nil {
		pg.Close()
		return err
	}
	h.replace(pulse{timer: timer, page: pg})
	return nil
}

// replace takes another way to beat.
func (h *heart) replace(by pulse) {
	h.mu.Lock()
	before := h.pulse
	h.pulse = by
	h.mu.Unlock()
	if before.timer != nil {
		before.timer.Disarm()
		before.page.Close()
	}
}

// beat is called by the hub's loop when it finished an item. A supervisor that
// does not take the message has other ways to learn that it should.
func (n *netchild) beat() {
	h := &n.heart
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.timer != nil:
		h.timer.Beat()
	case h.listener != nil && time.Since(h.told) >= h.every:
		h.told = time.Now()
		h.listener.Send(context.Background(), wire.Beat{}.Dict())
	}
}
