package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// meet connects to the endpoint that the agent sent, in place of an earlier
// one, and asks from now on whether the agent answers. An agent without an
// endpoint is never called.
func (a *agent) meet(ep wire.Handle) error {
	if ep.Object == nil {
		return nil
	}
	kept, err := xpcpeer.Keep(a.n.transport, ep)
	if err != nil {
		return err
	}
	uid := a.conn.Evidence().UID
	ctx, stop := context.WithCancel(context.Background())
	conn, err := xpcpeer.DialEndpoint(a.n.transport, ep, xpcpeer.Config{
		Requirement: a.n.p.Requirement(launchd.GUIAgent),
		// The endpoint must be served by the user who sent it.
		Policy: func(ev *xpcpeer.Evidence) error {
			if ev.UID != uid {
				return fmt.Errorf("the endpoint is served by uid %d, not %d", ev.UID, uid)
			}
			return nil
		},
		// A stopped agent holds one call of ours and no more.
		MaxOutstanding: 1,
		Events:         xpcpeer.Events{Invalid: func(*xpcpeer.Conn, error) { stop() }},
		Log:            a.n.log,
	})
	if err != nil {
		stop()
		kept.Close()
		return err
	}
	a.part()
	a.mu.Lock()
	a.reverse, a.endpoint, a.stop = conn, kept, stop
	a.mu.Unlock()
	go a.ask(ctx, conn)
	return nil
}

// part ends the way back to the agent.
func (a *agent) part() {
	a.mu.Lock()
	conn, ep, stop := a.reverse, a.endpoint, a.stop
	a.reverse, a.endpoint, a.stop = nil, wire.Handle{}, nil
	a.mu.Unlock()
	if conn == nil {
		return
	}
	stop()
	conn.Close()
	ep.Close()
}

// ask calls the agent at once and then every now and then; an agent that does
// not answer is noted when that changes.
func (a *agent) ask(ctx context.Context, conn *xpcpeer.Conn) {
	silent := false
	for {
		d, err := a.call(ctx, conn, wire.Ping{}.Dict())
		if err == nil {
			_, err = wire.ParsePong(d)
			d.Close()
		}
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != silent {
			silent = err != nil
			a.n.log("session %s answers its calls: %v (%v)", a.session, !silent, err)
			if !silent {
				go a.refresh() // whatever it was asked meanwhile was not heard
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(askEvery):
		}
	}
}

// refresh makes the agent send a whole frame.
func (a *agent) refresh() {
	a.mu.Lock()
	conn := a.reverse
	a.mu.Unlock()
	if conn == nil {
		return
	}
	if d, err := a.call(context.Background(), conn, wire.Refresh{}.Dict()); err == nil {
		d.Close()
	} else if !errors.Is(err, xpcpeer.ErrBusy) {
		a.n.log("session %s: refresh: %v", a.session, err)
	}
}

// call makes one call at a time; the other callers wait for their turn.
func (a *agent) call(ctx context.Context, c *xpcpeer.Conn, d wire.Dict) (wire.Dict, error) {
	a.calling.Lock()
	defer a.calling.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return c.Call(ctx, d)
}

// relay hands out the endpoint of another agent. Who may then talk to it is
// that agent's policy, not netchild's.
func (a *agent) relay(d wire.Dict) (wire.Dict, error) {
	r, err := wire.ParseRelay(d)
	if err != nil {
		return nil, err
	}
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	for _, other := range a.n.agents {
		other.mu.Lock()
		session, ep := other.session, other.endpoint
		var kept wire.Handle
		if ep.Object != nil && session == r.Session {
			kept, err = xpcpeer.Keep(a.n.transport, ep)
		}
		other.mu.Unlock()
		if kept.Object != nil {
			return wire.Relayed{Endpoint: kept}.Dict(), nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, wire.Refusal{Code: wire.CodeUnknown, Text: fmt.Sprintf("session %q has no agent with an endpoint", r.Session)}
}
