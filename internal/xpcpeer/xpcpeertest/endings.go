package xpcpeertest

import (
	"io/fs"
	"testing"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

func interruption(t *testing.T, tr xpcpeer.Transport) {
	g := newGate()
	defer g.open()
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(c *xpcpeer.Conn, m *xpcpeer.Message) {
		if n, _ := wire.Get[int64](m.Dict(), "n"); n == 0 {
			c.Close()
			g.wait()
			return
		}
		echo(c, m)
	}})
	r := newRecorder()
	c := dial(t, tr, r.events())
	for life := range 3 {
		_, err := c.Call(deadline(t), number(0))
		want(t, err, xpcpeer.ErrInterrupted)
		receive(t, "interruption", r.interrupted)
		d, err := c.Call(deadline(t), number(10+life))
		ok(t, err)
		isNumber(t, d, 10+life)
	}
	if len(r.invalid) > 0 || len(r.interrupted) > 0 || len(h.peers) != 4 {
		t.Fatalf("%d invalid, %d more interruptions, %d peers", len(r.invalid), len(r.interrupted), len(h.peers))
	}
}

// queueDies: a successor gets what was sent to it, not what its predecessor left.
func queueDies(t *testing.T, tr xpcpeer.Transport) {
	g, r := newGate(), newRecorder()
	defer g.open()
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
		if n, _ := wire.Get[int64](m.Dict(), "n"); n == 0 {
			g.wait()
			return
		}
		r.messages <- m.Dict()
	}})
	here := newRecorder()
	c := dialWith(t, tr, xpcpeer.Config{Policy: yes, MaxQueue: 10000, Events: here.events()})
	ok(t, c.Send(deadline(t), number(0)))
	for range 5000 { // more than any socket holds
		ok(t, c.Send(deadline(t), number(1)))
	}
	receive(t, "peer", h.peers).Close()
	receive(t, "interruption", here.interrupted)
	ok(t, c.Send(deadline(t), number(2)))
	isNumber(t, receive(t, "the successor's first message", r.messages), 2)
}

func noSuchName(t *testing.T, tr xpcpeer.Transport) {
	r := newRecorder()
	c := dial(t, tr, r.events())
	_, err := c.Call(deadline(t), number(1))
	want(t, err, xpcpeer.ErrInvalid)
	want(t, err, fs.ErrNotExist)
	want(t, receive(t, "invalid", r.invalid), xpcpeer.ErrInvalid)
	want(t, c.Send(deadline(t), number(2)), xpcpeer.ErrInvalid)
	want(t, c.Activate(deadline(t)), xpcpeer.ErrInvalid)
}

func noSuccessor(t *testing.T, tr xpcpeer.Transport) {
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	r := newRecorder()
	c := dial(t, tr, r.events())
	ok(t, c.Activate(deadline(t)))
	ok(t, h.Close())
	hangUp(t, receive(t, "peer", h.peers))
	receive(t, "interruption", r.interrupted)
	_, err := c.Call(deadline(t), number(1))
	want(t, err, xpcpeer.ErrInvalid)
	want(t, receive(t, "invalid", r.invalid), xpcpeer.ErrInvalid)
}

func lazyDial(t *testing.T, tr xpcpeer.Transport) {
	c := dial(t, tr, xpcpeer.Events{})
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	_, err := c.Call(deadline(t), number(1))
	ok(t, err)
}

func staleReply(t *testing.T, tr xpcpeer.Transport) {
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	kept, interrupted := make(chan *xpcpeer.Message, 1), make(chan struct{}, 1)
	c := dial(t, tr, xpcpeer.Events{
		Message:     func(_ *xpcpeer.Conn, m *xpcpeer.Message) { m.Keep(); kept <- m },
		Interrupted: func(*xpcpeer.Conn) { interrupted <- struct{}{} },
	})
	ok(t, c.Activate(deadline(t)))
	first := receive(t, "peer", h.peers)
	go first.Call(deadline(t), number(1))
	m := receive(t, "the call", kept)
	hangUp(t, first)
	receive(t, "interruption", interrupted)
	ok(t, c.Activate(deadline(t)))
	want(t, m.Reply(number(1)), xpcpeer.ErrInterrupted)
	_, err := c.Call(deadline(t), number(2))
	ok(t, err)
}

func endpointDeath(t *testing.T, tr xpcpeer.Transport) {
	h := listenAnonymously(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	r := newRecorder()
	c := dialEndpoint(t, tr, endpointOf(t, h), r.events())
	_, err := c.Call(deadline(t), number(1))
	ok(t, err)
	hangUp(t, receive(t, "peer", h.peers))
	want(t, receive(t, "invalid", r.invalid), xpcpeer.ErrInvalid)
	want(t, c.Send(deadline(t), number(1)), xpcpeer.ErrInvalid)
	if len(r.interrupted) > 0 {
		t.Fatal("an endpoint's connection was interrupted")
	}
	// A listener that is gone is found out at the first message.
	ep := endpointOf(t, h)
	h.Close()
	late := dialEndpoint(t, tr, ep, xpcpeer.Events{})
	_, err = late.Call(deadline(t), number(1))
	want(t, err, xpcpeer.ErrInvalid)
}

func acceptedDeath(t *testing.T, tr xpcpeer.Transport) {
	r := newRecorder()
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, r.events())
	c := dial(t, tr, xpcpeer.Events{})
	ok(t, c.Activate(deadline(t)))
	peer := receive(t, "peer", h.peers)
	waiting := make(chan error, 1)
	go func() {
		_, err := peer.Call(deadline(t), number(1)) // the client has no handler: unanswered, or cut off
		waiting <- err
	}()
	hangUp(t, c)
	receive(t, "the call's end", waiting)
	want(t, receive(t, "invalid", r.invalid), xpcpeer.ErrInvalid)
	if len(r.interrupted) > 0 {
		t.Fatal("an accepted connection was interrupted")
	}
}
