package xpcpeertest

import (
	"testing"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// endpointOf answers an endpoint that is closed when the test ends.
func endpointOf(t *testing.T, h *host) wire.Handle {
	t.Helper()
	ep, err := h.Endpoint()
	ok(t, err)
	t.Cleanup(func() { ep.Close() })
	return ep
}

func dialEndpoint(t *testing.T, tr xpcpeer.Transport, ep wire.Handle, events xpcpeer.Events) *xpcpeer.Conn {
	t.Helper()
	c, err := xpcpeer.DialEndpoint(tr, ep, xpcpeer.Config{Policy: yes, Events: events})
	ok(t, err)
	t.Cleanup(func() { hangUp(t, c) })
	return c
}

// endpointRelayed: it is sent to the service, which hands it to another client.
func endpointRelayed(t *testing.T, tr xpcpeer.Transport) {
	held := make(chan wire.Handle, 1)
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
		if ep, isOffer := m.Dict().Take("offer", wire.HandleEndpoint); isOffer {
			held <- ep
			m.Reply(wire.Dict{})
			return
		}
		ep := <-held
		m.Reply(wire.Dict{"endpoint": ep})
		ep.Close()
	}})
	hidden := listenAnonymously(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	giver, taker := dial(t, tr, xpcpeer.Events{}), dial(t, tr, xpcpeer.Events{})
	_, err := giver.Call(deadline(t), wire.Dict{"offer": endpointOf(t, hidden)})
	ok(t, err)
	d, err := taker.Call(deadline(t), wire.Dict{})
	ok(t, err)
	ep, isEndpoint := d.Take("endpoint", wire.HandleEndpoint)
	if !isEndpoint {
		t.Fatalf("got %v", d)
	}
	c := dialEndpoint(t, tr, ep, xpcpeer.Events{})
	ep.Close() // the connection has a reference of its own
	got, err := c.Call(deadline(t), number(7))
	ok(t, err)
	isNumber(t, got, 7)
	receive(t, "a peer of the hidden listener", hidden.peers)
}

// endpointKept: of a kept endpoint and the one it is of each is closed alone.
func endpointKept(t *testing.T, tr xpcpeer.Transport) {
	hidden := listenAnonymously(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	ep, err := hidden.Endpoint()
	ok(t, err)
	first, err := xpcpeer.Keep(tr, ep)
	ok(t, err)
	second, err := xpcpeer.Keep(tr, first)
	ok(t, err)
	ok(t, ep.Close())
	ok(t, first.Close())
	c := dialEndpoint(t, tr, second, xpcpeer.Events{})
	ok(t, second.Close())
	got, err := c.Call(deadline(t), number(7))
	ok(t, err)
	isNumber(t, got, 7)
}

func noEndpoint(t *testing.T, tr xpcpeer.Transport) {
	f := note(t, "no socket")
	for _, h := range []wire.Handle{wire.FD(f), {Kind: wire.HandleEndpoint, Object: f}, {}} {
		if c, err := xpcpeer.DialEndpoint(tr, h, xpcpeer.Config{Policy: yes}); err == nil {
			hangUp(t, c)
			t.Errorf("dialled a %v that is a %T", h.Kind, h.Object)
		}
		if own, err := xpcpeer.Keep(tr, h); err == nil {
			own.Close()
			t.Errorf("kept a %v that is a %T", h.Kind, h.Object)
		}
	}
}

func namedEndpoint(t *testing.T, tr xpcpeer.Transport) {
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{})
	if ep, err := h.Endpoint(); err == nil {
		ep.Close()
		t.Fatal("a named listener gave an endpoint")
	}
}
