package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"portward/internal/capture"
	"portward/internal/counters"
	"portward/internal/program"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// An agent shows one screen of a login. The process has one, and one more for each
// further screen of an X display.
type agent struct {
	p         *program.Program
	bundle    program.Identifier
	log       func(format string, args ...any)
	transport xpcpeer.Transport
	screen    int               // its number; others than 0 have neither counters nor lease
	counters  *counters.Page    // nil where nobody reads them
	door      *xpcpeer.Listener // nil: nobody can call this agent
	loop      *loop
	lease     time.Time     // until when it asks not to be disturbed
	frames    atomic.Uint64 // released ever by this agent

	sawX11 bool // of stream alone: auto has chosen
	beside beside

	linking sync.Mutex
	linked  bool // netchild has the swap chain

	mu      sync.Mutex
	source  capture.Picture // what is captured now, nil between two
	display error           // why there is none, nil while there is one
}

// mayCall is the policy of the agent's endpoint: the user's own programs of
// the bundle, and netchild.
func (a *agent) mayCall(ev *xpcpeer.Evidence) error {
	err := program.Runs(ev, a.bundle, launchd.NetChild, launchd.GUIAgent)
	return a.orService(ev, err)
}

// isNetchild is the policy for the process that answers at netchild's name.
func (a *agent) isNetchild(ev *xpcpeer.Evidence) error {
	err := program.Runs(ev, a.bundle, launchd.NetChild)
	return a.orService(ev, err)
}

// called answers whoever holds the agent's endpoint.
func (a *agent) called(c *xpcpeer.Conn, m *xpcpeer.Message) {
	kind, err := wire.KindOf(m.Dict())
	if err != nil || !wire.Permit(wire.RoleCaller, wire.PhaseFresh, kind) {
		m.Reply(wire.Refusal{Code: wire.CodeNotPermitted, Text: string(kind)}.Dict())
		c.Close()
		return
	}
	switch kind {
	case wire.KindPing:
		m.Reply(wire.Pong{Frames: a.frames.Load()}.Dict())
	case wire.KindRefresh:
		a.mu.Lock()
		if a.source != nil {
			a.source.Invalidate()
		}
		a.mu.Unlock()
		m.Reply(wire.OK{}.Dict())
	case wire.KindDescribe:
		m.Reply(wire.Description{Session: a.p.Session, Build: a.p.Build}.Dict())
	default:
		m.Reply(wire.Refusal{Code: wire.CodeUnknown, Text: string(kind)}.Dict())
	}
}

// released counts a frame that netchild is done with. One that comes late, from
// a connection that has broken, ends no gap.
func (a *agent) released(uint32) {
	a.frames.Add(1)
	a.linking.Lock()
	defer a.linking.Unlock()
	if a.counters != nil && a.linked {
		a.counters.Released()
	}
}

// joined notes that netchild has the swap chain.
func (a *agent) joined() {
	a.linking.Lock()
	defer a.linking.Unlock()
	a.linked = true
}

// broken notes the start of a gap.
func (a *agent) broken() {
	a.linking.Lock()
	defer a.linking.Unlock()
	a.linked = false
	if a.counters != nil {
		a.counters.Broken()
	}
}

// ask prints who the agent of session is.
func (a *agent) ask(ctx context.Context, session string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := xpcpeer.Dial(a.transport, a.p.Name(launchd.NetChildService), xpcpeer.Config{
		Policy: a.isNetchild, Requirement: a.p.Requirement(launchd.NetChild), Log: a.log,
	})
	defer c.Close()
	d, err := c.Call(ctx, wire.Hello{Min: wire.VersionMin, Max: wire.VersionMax, Build: a.p.Build, Role: wire.ClaimTool}.Dict())
	if err != nil {
		return program.ExitAgain, err
	}
	if _, err := wire.ParseWelcome(d); err != nil {
		return program.ExitAgain, err
	}
	if d, err = c.Call(ctx, wire.Relay{Session: session}.Dict()); err != nil {
		return program.ExitAgain, err
	}
	r, err := wire.ParseRelayed(d)
	if err != nil {
		return program.ExitAgain, err
	}
	defer r.Endpoint.Close()
	other, err := xpcpeer.DialEndpoint(a.transport, r.Endpoint, xpcpeer.Config{
		Policy: a.mayCall, Requirement: a.p.Requirement(launchd.GUIAgent), Log: a.log,
	})
	if err != nil {
		return program.ExitAgain, err
	}
	defer other.Close()
	if d, err = other.Call(ctx, wire.Describe{}.Dict()); err != nil {
		return program.ExitAgain, err
	}
	desc, err := wire.ParseDescription(d)
	if err != nil {
		return program.ExitAgain, err
	}
	fmt.Printf("session %s: pid %d, build %s\n", desc.Session, other.Evidence().PID, desc.Build)
	return program.ExitOK, nil
}
