package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"portward/internal/hub"
	"portward/internal/surface"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// loginLimits are on what all agents of one login hold together: each screen twice,
// for connections that come before the old ones went, and the bytes of a display of 8K
// in all the surfaces of a chain.
var loginLimits = surface.Limits{Chains: 2 * wire.MaxChains, Bytes: 1100 << 20}

// maxHeld is how many chains one connection has.
const maxHeld = 2

// maxAgents is how many agents, one to a screen, there are at once, half of them of
// one user.
const maxAgents = 128

// maxRefused is how often an agent may ask for what it does not get.
const maxRefused = 100

// askEvery is how often netchild asks each agent whether it answers.
const askEvery = 2 * time.Second

// An agent is one peer of netchild's service.
type agent struct {
	n       *netchild
	conn    *xpcpeer.Conn
	uid     uint32
	account *surface.Account // its login's, from the hello on

	// Of the connection's handler alone.
	phase   wire.Phase
	role    wire.Role
	refused int

	calling sync.Mutex // held over a call to the agent

	mu       sync.Mutex
	session  string // written by the handler, read by others under the lock
	chains   map[uint64]attached
	reverse  *xpcpeer.Conn // to the endpoint that the agent sent
	endpoint wire.Handle   // that endpoint, for relaying
	stop     context.CancelFunc
}

// An attached chain.
type attached struct {
	sink  *surface.Sink
	leave func() // ends it
}

func (n *netchild) otherUser(ev *xpcpeer.Evidence) bool { return int(ev.UID) != os.Geteuid() }

// openDoor listens for agents.
func (n *netchild) openDoor() (*xpcpeer.Listener, error) {
	return xpcpeer.Listen(n.transport, n.p.Name(launchd.NetChildService), xpcpeer.Config{
		Policy:      n.mayEnter,
		Requirement: n.p.Requirement(launchd.GUIAgent),
		MaxPeers:    2 * maxAgents, // so that who is turned away by admit takes nobody's place
		Log:         n.log,
		Accept: func(c *xpcpeer.Conn) (xpcpeer.Events, error) {
			uid := c.Evidence().UID
			a := &agent{n: n, conn: c, uid: uid, phase: wire.PhaseFresh, role: wire.RoleAgent, chains: map[uint64]attached{}}
			if err := n.admit(c, a); err != nil {
				return xpcpeer.Events{}, err
			}
			return xpcpeer.Events{Message: a.message, Invalid: a.gone}, nil
		},
	})
}

// admit gives an agent a place. One is the probe's: others who take all they get
// must not make a release look bad that serves nobody else.
func (n *netchild) admit(c *xpcpeer.Conn, a *agent) error {
	most := maxAgents - 1
	if n.logins.probes(a.uid) {
		most++
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	own := 0
	for _, b := range n.agents {
		if b.uid == a.uid {
			own++
		}
	}
	if len(n.agents) >= most || own >= maxAgents/2 {
		return fmt.Errorf("uid %d has %d connections, of %d: no room for more", a.uid, own, len(n.agents))
	}
	n.agents[c] = a
	return nil
}

// message acts on what an agent says. A fault of the agent's ends its own
// connection and nothing else.
func (a *agent) message(c *xpcpeer.Conn, m *xpcpeer.Message) {
	kind, err := wire.KindOf(m.Dict())
	if err == nil && !wire.Permit(a.role, a.phase, kind) {
		err = wire.Refusal{Code: wire.CodeNotPermitted, Text: fmt.Sprintf("%q from a %v that is %v", kind, a.role, a.phase)}
	}
	var reply wire.Dict
	if err == nil {
		reply, err = a.act(kind, m.Dict())
	}
	if err != nil {
		r := refusal(err)
		a.refused++
		a.n.log("session %q pid %d: %v", a.session, c.Evidence().PID, err)
		m.Reply(r.Dict())
		if r.Code != wire.CodeUnknown && r.Code != wire.CodeBusy && r.Code != wire.CodeLimit || a.refused > maxRefused {
			c.Close() // after the reply
		}
		return
	}
	if m.WantsReply() {
		m.Reply(reply)
		reply.Close()
	}
}

// refusal says err in a form that crosses the border.
func refusal(err error) wire.Refusal {
	var r wire.Refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, wire.ErrMalformed), errors.Is(err, surface.ErrHostile):
		return wire.Refusal{Code: wire.CodeMalformed, Text: err.Error()}
	case errors.Is(err, surface.ErrLimit):
		return wire.Refusal{Code: wire.CodeLimit, Text: err.Error()}
	}
	return wire.Refusal{Code: wire.CodeInternal, Text: err.Error()}
}

func (a *agent) act(kind wire.Kind, d wire.Dict) (wire.Dict, error) {
	switch kind {
	case wire.KindHello:
		return a.hello(d)
	case wire.KindAttach:
		return a.attach(d)
	case wire.KindAdd:
		return a.add(d)
	case wire.KindDetach:
		x, err := wire.ParseDetach(d)
		if err == nil {
			a.detach(x.Chain)
		}
		return wire.OK{}.Dict(), err
	case wire.KindRelay:
		return a.relay(d)
	case wire.KindLease:
		x, err := wire.ParseLease(d, time.Now())
		if err == nil {
			a.n.leases.set(a, x.Until)
		}
		return wire.OK{}.Dict(), err
	}
	if kind.Optional() {
		return nil, wire.Refusal{Code: wire.CodeUnknown, Text: string(kind)}
	}
	return nil, fmt.Errorf("%w: kind %q", wire.ErrMalformed, kind)
}

func (a *agent) hello(d wire.Dict) (wire.Dict, error) {
	h, err := wire.ParseHello(d)
	if err != nil {
		return nil, err
	}
	version, err := wire.Negotiate(h.Min, h.Max)
	if err != nil {
		return nil, wire.Refusal{Code: wire.CodeRelaunch, Text: err.Error()}
	}
	if h.Role == wire.ClaimTool {
		a.role = wire.RoleTool
	} else {
		// A session is served to the user who is logged in there, no other.
		ctx, cancel := context.WithTimeout(context.Background(), newLoginWithin)
		defer cancel()
		if !a.n.logins.has(ctx, h.Session, a.conn.Evidence().UID) {
			return nil, wire.Refusal{Code: wire.CodeNotPermitted, Text: fmt.Sprintf("uid %d has no session %q", a.conn.Evidence().UID, h.Session)}
		}
		a.mu.Lock()
		a.session = h.Session
		a.mu.Unlock()
		a.account = a.n.accountOf(h.Session)
	}
	a.phase = wire.PhaseGreeted
	return wire.Welcome{Version: version, Build: a.n.p.Build, Life: a.n.life.Load()}.Dict(), nil
}

// accountOf answers what a login's agents share.
func (n *netchild) accountOf(session string) *surface.Account {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.accounts[session] == nil {
		n.accounts[session] = surface.NewAccount(loginLimits)
	}
	return n.accounts[session]
}

// attach opens the agent's swap chain and gives it to the hub.
func (a *agent) attach(d wire.Dict) (wire.Dict, error) {
	at, err := wire.ParseAttach(d)
	if err != nil {
		return nil, err
	}
	defer at.Agent.Close() // the other handles are the sink's
	a.detach(at.Chain)
	a.mu.Lock()
	held := len(a.chains)
	a.mu.Unlock()
	if held >= maxHeld { // the account forgets a chain that broke, its number stays taken
		at.Dict().Close()
		return nil, wire.Refusal{Code: wire.CodeLimit, Text: fmt.Sprintf("%d chains, and none detached", held)}
	}
	g := surface.Geometry{Width: int(at.Width), Height: int(at.Height), Stride: int(at.Stride), Format: surface.Format(at.Format)}
	sink, err := surface.Open(g, at.Surfaces, at.Frames, a.account)
	if err != nil {
		return nil, err
	}
	if err := a.meet(at.Agent); err != nil {
		sink.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	leave, err := a.n.hub.Attach(ctx, hub.StreamID(a.session, int(at.Chain)-1), sink, a.refresh)
	if err != nil {
		sink.Close()
		return nil, err
	}
	a.mu.Lock()
	a.chains[at.Chain] = attached{sink, leave}
	a.mu.Unlock()
	a.phase = wire.PhaseAttached
	a.n.log("stream %s attached, %dx%d", hub.StreamID(a.session, int(at.Chain)-1), g.Width, g.Height)
	return wire.OK{}.Dict(), nil
}

// add gives a chain one surface more.
func (a *agent) add(d wire.Dict) (wire.Dict, error) {
	x, err := wire.ParseAdd(d)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	chain, ok := a.chains[x.Chain]
	a.mu.Unlock()
	if !ok {
		x.Surface.Close()
		return nil, wire.Refusal{Code: wire.CodeUnknown, Text: fmt.Sprintf("no chain %d", x.Chain)}
	}
	if err := chain.sink.Add(x.Surface); err != nil {
		return nil, err
	}
	return wire.OK{}.Dict(), nil
}

func (a *agent) detach(chain uint64) {
	a.mu.Lock()
	c, ok := a.chains[chain]
	delete(a.chains, chain)
	a.mu.Unlock()
	if ok {
		c.leave()
	}
}

// gone is the agent's last event: whatever it held is let go.
func (a *agent) gone(c *xpcpeer.Conn, err error) {
	a.n.mu.Lock()
	delete(a.n.agents, c)
	a.n.mu.Unlock()
	a.n.leases.set(a, time.Time{})
	a.mu.Lock()
	chains := a.chains
	a.chains = map[uint64]attached{}
	a.mu.Unlock()
	for _, c := range chains {
		c.leave()
	}
	a.part()
}
