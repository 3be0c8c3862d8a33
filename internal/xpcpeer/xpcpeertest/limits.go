package xpcpeertest

import (
	"context"
	"testing"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

const flood = 10_000

// flooding sends until the connection gives up, which it must.
func flooding(t *testing.T, c *xpcpeer.Conn) {
	t.Helper()
	for i := range flood {
		if err := c.Send(context.Background(), number(i)); err != nil {
			want(t, err, xpcpeer.ErrFlooded)
			want(t, err, xpcpeer.ErrInvalid)
			return
		}
	}
	t.Fatalf("%d messages to a peer that does not read", flood)
}

// stuck is a handler that reads one message and no more.
func stuck(g *gate) xpcpeer.Events {
	return xpcpeer.Events{Message: func(*xpcpeer.Conn, *xpcpeer.Message) { g.wait() }}
}

func floodedClient(t *testing.T, tr xpcpeer.Transport) {
	g, r := newGate(), newRecorder()
	defer g.open()
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, r.events())
	bad := dial(t, tr, stuck(g))
	ok(t, bad.Activate(deadline(t)))
	peer := receive(t, "peer", h.peers)
	good := dial(t, tr, xpcpeer.Events{})
	ok(t, good.Activate(deadline(t)))
	flooding(t, peer)
	want(t, receive(t, "invalid", r.invalid), xpcpeer.ErrFlooded)
	_, err := good.Call(deadline(t), number(1))
	ok(t, err)
	g.open()
}

func floodedServer(t *testing.T, tr xpcpeer.Transport) {
	g, r := newGate(), newRecorder()
	defer g.open()
	listen(t, tr, xpcpeer.Config{Policy: yes}, stuck(g))
	c := dial(t, tr, r.events())
	ok(t, c.Activate(deadline(t)))
	flooding(t, c)
	want(t, receive(t, "invalid", r.invalid), xpcpeer.ErrFlooded)
	g.open()
}

// floodingClient: while one peer's handler is stuck, the others are served.
func floodingClient(t *testing.T, tr xpcpeer.Transport) {
	g := newGate()
	defer g.open()
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(c *xpcpeer.Conn, m *xpcpeer.Message) {
		if _, isFlood := wire.Get[bool](m.Dict(), "flood"); isFlood {
			g.wait()
		}
		echo(c, m)
	}})
	bad, good := dial(t, tr, xpcpeer.Events{}), dial(t, tr, xpcpeer.Events{})
	for range 500 {
		if bad.Send(deadline(t), wire.Dict{"flood": true}) != nil {
			break // by its own side; the server sees back-pressure only
		}
	}
	for i := range 20 {
		d, err := good.Call(deadline(t), number(i))
		ok(t, err)
		isNumber(t, d, i)
	}
	g.open()
}

func peerLimit(t *testing.T, tr xpcpeer.Transport) {
	h := listen(t, tr, xpcpeer.Config{Policy: yes, MaxPeers: 4}, xpcpeer.Events{Message: echo})
	a, b := dial(t, tr, xpcpeer.Events{}), dial(t, tr, xpcpeer.Events{})
	ok(t, a.Activate(deadline(t)))
	ok(t, b.Activate(deadline(t)))
	third := dial(t, tr, xpcpeer.Events{})
	want(t, third.Activate(deadline(t)), xpcpeer.ErrRefused)
	hangUp(t, a)
	receive(t, "the server's side of the first", receive(t, "first peer", h.peers).Done())
	fourth := dial(t, tr, xpcpeer.Events{})
	ok(t, fourth.Activate(deadline(t)))
	_, err := b.Call(deadline(t), number(1))
	ok(t, err)
}

// waitingLimit: who waits for the policy takes no place of a peer's, and one
// user's waiting connections are bounded.
func waitingLimit(t *testing.T, tr xpcpeer.Transport) {
	g := newGate()
	defer g.open()
	asked := make(chan struct{}, 8)
	listen(t, tr, xpcpeer.Config{MaxWaiting: 4, Policy: func(*xpcpeer.Evidence) error {
		asked <- struct{}{}
		g.wait()
		return nil
	}}, xpcpeer.Events{Message: echo})
	slow := dial(t, tr, xpcpeer.Events{})
	done := make(chan error, 1)
	go func() { done <- slow.Activate(deadline(t)) }()
	receive(t, "the question", asked)
	want(t, dial(t, tr, xpcpeer.Events{}).Activate(deadline(t)), xpcpeer.ErrRefused)
	g.open()
	ok(t, receive(t, "the first", done))
	ok(t, dial(t, tr, xpcpeer.Events{}).Activate(deadline(t)))
}

func thousandConnections(t *testing.T, tr xpcpeer.Transport) {
	f := note(t, "handle")
	listen(t, tr, xpcpeer.Config{Policy: yes, MaxPeers: 200}, xpcpeer.Events{Message: echo})
	before := openFiles()
	for i := range 1000 {
		c := xpcpeer.Dial(tr, service, xpcpeer.Config{Policy: yes})
		d, err := c.Call(deadline(t), wire.Dict{"n": int64(i), "fd": wire.FD(f)})
		ok(t, err)
		d.Close()
		c.Close()
		receive(t, "the end", c.Done())
	}
	if before >= 0 {
		eventually(t, "as many descriptors as before", func() bool { return openFiles() <= before })
	}
}
