package xpcpeertest

import (
	"errors"
	"sync"
	"testing"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

func closeOnce(t *testing.T, tr xpcpeer.Transport) {
	g, arrived := newGate(), make(chan struct{}, 1)
	defer g.open()
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(*xpcpeer.Conn, *xpcpeer.Message) {
		arrived <- struct{}{}
		g.wait()
	}})
	r := newRecorder()
	c := dial(t, tr, r.events())
	waiting := make(chan error, 1)
	go func() {
		_, err := c.Call(deadline(t), number(1))
		waiting <- err
	}()
	receive(t, "the call", arrived)
	for range 3 {
		ok(t, c.Close())
	}
	want(t, receive(t, "the call's end", waiting), xpcpeer.ErrInvalid)
	receive(t, "the end", c.Done())
	want(t, receive(t, "invalid", r.invalid), xpcpeer.ErrInvalid)
	if len(r.invalid)+len(r.interrupted) > 0 {
		t.Fatal("an event after the last")
	}
	want(t, c.Send(deadline(t), number(2)), xpcpeer.ErrInvalid)
	_, err := c.Call(deadline(t), number(2))
	want(t, err, xpcpeer.ErrInvalid)
	g.open()
}

func closeAfterSend(t *testing.T, tr xpcpeer.Transport) {
	r := newRecorder()
	listen(t, tr, xpcpeer.Config{Policy: yes}, r.events())
	c := dial(t, tr, xpcpeer.Events{})
	ok(t, c.Activate(deadline(t)))
	for i := range 20 {
		ok(t, c.Send(deadline(t), number(i)))
	}
	ok(t, c.Close())
	for i := range 20 {
		isNumber(t, receive(t, "message", r.messages), i)
	}
	want(t, receive(t, "the server's end", r.invalid), xpcpeer.ErrInvalid)
}

func closeInsideHandlers(t *testing.T, tr xpcpeer.Transport) {
	ended := make(chan error, 10)
	closing := func(c *xpcpeer.Conn) { c.Close() }
	events := xpcpeer.Events{
		Message:     func(c *xpcpeer.Conn, _ *xpcpeer.Message) { c.Close() },
		Interrupted: closing,
		Invalid:     func(c *xpcpeer.Conn, err error) { c.Close(); ended <- err },
	}
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, events)
	// The server closes in Message, the client in Interrupted; both in Invalid.
	c := dial(t, tr, events)
	ok(t, c.Send(deadline(t), number(1)))
	for range 2 {
		want(t, receive(t, "an end", ended), xpcpeer.ErrInvalid)
	}
	receive(t, "the client's end", c.Done())
	receive(t, "the server's end", receive(t, "peer", h.peers).Done())
	h.Close()
	closeInsideAccept(t, tr)
}

func closeInsideAccept(t *testing.T, tr xpcpeer.Transport) {
	ended := make(chan error, 1)
	listen(t, tr, xpcpeer.Config{Policy: yes, Accept: func(c *xpcpeer.Conn) (xpcpeer.Events, error) {
		c.Close()
		return xpcpeer.Events{Invalid: func(_ *xpcpeer.Conn, err error) { ended <- err }}, nil
	}}, xpcpeer.Events{})
	c := dial(t, tr, xpcpeer.Events{})
	if err := c.Activate(deadline(t)); err != nil {
		want(t, err, xpcpeer.ErrInterrupted)
	}
	want(t, receive(t, "the server's end", ended), xpcpeer.ErrInvalid)
}

func closeAmidCalls(t *testing.T, tr xpcpeer.Transport) {
	f := note(t, "handle")
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	for round := range 20 {
		c := dialWith(t, tr, xpcpeer.Config{Policy: yes, Events: xpcpeer.Events{Message: echo}})
		ok(t, c.Activate(deadline(t)))
		peer := receive(t, "peer", h.peers)
		var all sync.WaitGroup
		for range 4 {
			for _, side := range []*xpcpeer.Conn{c, peer} {
				all.Go(func() { callUntilTheEnd(t, side, wire.Dict{"fd": wire.FD(f)}) })
			}
		}
		_, err := c.Call(deadline(t), number(round))
		ok(t, err)
		if round%2 == 0 {
			c.Close()
		} else {
			peer.Close()
			eventually(t, "an end", func() bool { return peer.Send(deadline(t), number(0)) != nil })
			c.Close()
		}
		all.Wait()
	}
}

func callUntilTheEnd(t *testing.T, c *xpcpeer.Conn, d wire.Dict) {
	for {
		answer, err := c.Call(deadline(t), d)
		answer.Close()
		if errors.Is(err, xpcpeer.ErrInvalid) {
			return
		}
		if err != nil && !errors.Is(err, xpcpeer.ErrInterrupted) {
			t.Errorf("a call ended with %v", err)
			return
		}
	}
}

func listenerClose(t *testing.T, tr xpcpeer.Transport) {
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	c := dial(t, tr, xpcpeer.Events{})
	ok(t, c.Activate(deadline(t)))
	ok(t, h.Close())
	ok(t, h.Close())
	_, err := c.Call(deadline(t), number(1))
	ok(t, err)
	again := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	ok(t, dial(t, tr, xpcpeer.Events{}).Activate(deadline(t)))
	receive(t, "a peer of the next listener", again.peers)
}
