package xpcpeertest

import (
	"context"
	"testing"
	"time"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// soon is a deadline that is meant to pass.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func needsDeadline(t *testing.T, tr xpcpeer.Transport) {
	r := newRecorder()
	listen(t, tr, xpcpeer.Config{Policy: yes}, r.events())
	c := dial(t, tr, xpcpeer.Events{})
	_, err := c.Call(context.Background(), number(1))
	want(t, err, xpcpeer.ErrNoDeadline)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	want(t, c.Send(over, number(2)), context.Canceled)
	ok(t, c.Send(context.Background(), number(3)))
	isNumber(t, receive(t, "the only message", r.messages), 3)
}

// oneOutstanding: a peer that is stuck holds one call, not one per deadline.
func oneOutstanding(t *testing.T, tr xpcpeer.Transport) {
	g, r := newGate(), newRecorder()
	defer g.open()
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
		r.messages <- m.Dict()
		g.wait()
		m.Reply(m.Dict())
	}})
	c := dialWith(t, tr, xpcpeer.Config{Policy: yes, MaxOutstanding: 1})
	ok(t, c.Activate(deadline(t)))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	go func() {
		<-r.messages // written, and stuck in the peer
		cancel()
	}()
	_, err := c.Call(ctx, number(1))
	want(t, err, context.Canceled)
	for range 10 {
		_, err := c.Call(deadline(t), number(2))
		want(t, err, xpcpeer.ErrBusy)
	}
	g.open()
	eventually(t, "the late reply frees the place", func() bool {
		d, err := c.Call(deadline(t), number(3))
		if err != nil {
			want(t, err, xpcpeer.ErrBusy)
			return false
		}
		isNumber(t, d, 3)
		return true
	})
	isNumber(t, receive(t, "the second call that was written", r.messages), 3)
}

// withdrawn: calls that wait for the connection do not pile up behind it.
func withdrawn(t *testing.T, tr xpcpeer.Transport) {
	g, r := newGate(), newRecorder()
	defer g.open()
	var peers = make(chan *xpcpeer.Conn, 1)
	listen(t, tr, xpcpeer.Config{Policy: yes, Accept: func(c *xpcpeer.Conn) (xpcpeer.Events, error) {
		peers <- c
		g.wait()
		return r.events(), nil
	}}, xpcpeer.Events{})
	c := dialWith(t, tr, xpcpeer.Config{Policy: yes, MaxOutstanding: 1})
	for i := range 5 {
		_, err := c.Call(soon(t), number(i))
		want(t, err, context.DeadlineExceeded)
	}
	g.open()
	d, err := c.Call(deadline(t), number(9))
	ok(t, err)
	isNumber(t, d, 9)
	isNumber(t, receive(t, "the only call", r.messages), 9)
	hangUp(t, receive(t, "peer", peers))
}

func unanswered(t *testing.T, tr xpcpeer.Transport) {
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(*xpcpeer.Conn, *xpcpeer.Message) {}})
	c := dialWith(t, tr, xpcpeer.Config{Policy: yes, MaxOutstanding: 1})
	for range 3 {
		_, err := c.Call(deadline(t), number(1))
		want(t, err, xpcpeer.ErrUnanswered)
	}
}

func answeredLater(t *testing.T, tr xpcpeer.Transport) {
	kept := make(chan *xpcpeer.Message, 2)
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
		m.Keep()
		kept <- m
	}})
	c := dial(t, tr, xpcpeer.Events{})
	answers := make(chan wire.Dict, 2)
	for i := range 2 {
		go func() {
			d, _ := c.Call(deadline(t), number(i))
			answers <- d
		}()
	}
	first, second := receive(t, "a call", kept), receive(t, "another call", kept)
	for _, m := range []*xpcpeer.Message{second, first} {
		ok(t, m.Reply(m.Dict()))
		n, _ := wire.Get[int64](m.Dict(), "n")
		isNumber(t, receive(t, "its answer", answers), int(n))
	}
}

func answeredOnce(t *testing.T, tr xpcpeer.Transport) {
	errs := make(chan error, 3)
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
		if !m.WantsReply() {
			errs <- m.Reply(number(0))
			return
		}
		errs <- m.Reply(number(1))
		errs <- m.Reply(number(2))
	}})
	c := dial(t, tr, xpcpeer.Events{})
	ok(t, c.Send(deadline(t), number(0)))
	d, err := c.Call(deadline(t), number(0))
	ok(t, err)
	isNumber(t, d, 1)
	if receive(t, "reply to a message", errs) == nil {
		t.Error("a message was replied to")
	}
	ok(t, receive(t, "first reply", errs))
	if receive(t, "second reply", errs) == nil {
		t.Error("a call was replied to twice")
	}
}
