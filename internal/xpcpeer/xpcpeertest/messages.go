package xpcpeertest

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

func inOrder(t *testing.T, tr xpcpeer.Transport) {
	const n = 1000
	r := newRecorder()
	listen(t, tr, xpcpeer.Config{Policy: yes}, r.events())
	c := dialWith(t, tr, xpcpeer.Config{Policy: yes, MaxQueue: n})
	for i := range n {
		ok(t, c.Send(deadline(t), number(i)))
	}
	for i := range n {
		isNumber(t, receive(t, "message", r.messages), i)
	}
}

func bothDirections(t *testing.T, tr xpcpeer.Transport) {
	there, here := newRecorder(), newRecorder()
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, there.events())
	c := dial(t, tr, here.events())
	ok(t, c.Send(deadline(t), number(1)))
	isNumber(t, receive(t, "message at the server", there.messages), 1)
	peer := receive(t, "peer", h.peers)
	for i := range 10 {
		ok(t, peer.Send(deadline(t), number(i)))
	}
	for i := range 10 {
		isNumber(t, receive(t, "message at the client", here.messages), i)
	}
}

func callBothWays(t *testing.T, tr xpcpeer.Transport) {
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	c := dial(t, tr, xpcpeer.Events{Message: echo})
	ok(t, c.Activate(deadline(t)))
	peer := receive(t, "peer", h.peers)
	var all sync.WaitGroup
	for i := range 20 {
		for _, side := range []*xpcpeer.Conn{c, peer} {
			all.Go(func() {
				d, err := side.Call(deadline(t), number(i))
				if n, _ := wire.Get[int64](d, "n"); err != nil || n != int64(i) {
					t.Errorf("call %d answered %v, %v", i, d, err)
				}
			})
		}
	}
	all.Wait()
}

func valuesRoundTrip(t *testing.T, tr xpcpeer.Transport) {
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	c := dial(t, tr, xpcpeer.Events{})
	sent := wire.Dict{
		"true": true, "false": false,
		"i0": int64(0), "i+": int64(math.MaxInt64), "i-": int64(math.MinInt64),
		"u0": uint64(0), "u+": uint64(math.MaxUint64),
		"d": 1.0, "d-": math.Copysign(0, -1), "dinf": math.Inf(1), "tiny": math.SmallestNonzeroFloat64,
		"s": "", "utf": "żółw 🐢", "data": []byte{0, 255}, "none": []byte{},
		"date": time.Unix(-1, 999_999_999).UTC(), "uuid": wire.UUID{1, 15: 16},
		"array": []any{}, "dict": wire.Dict{},
		"deep": []any{[]any{wire.Dict{"k": []any{int64(1), uint64(1), 1.0, true}}}},
	}
	got, err := c.Call(deadline(t), sent)
	ok(t, err)
	if !reflect.DeepEqual(got, sent) {
		t.Fatalf("got  %#v\nsent %#v", got, sent)
	}
}

func badDictionary(t *testing.T, tr xpcpeer.Transport) {
	r := newRecorder()
	listen(t, tr, xpcpeer.Config{Policy: yes}, r.events())
	c := dial(t, tr, xpcpeer.Events{})
	deep := wire.Dict{}
	for range wire.MaxDepth {
		deep = wire.Dict{"d": deep}
	}
	for name, bad := range map[string]wire.Dict{
		"an int": {"n": 1}, "nil": {"n": nil}, "no UTF-8": {"s": "\xff"}, "no UTF-8 key": {"\xff": true},
		"too long": {"s": strings.Repeat("x", wire.MaxMessage+1)}, "too deep": deep, "empty key": {"": true}, "our key": {"portward.hello": uint64(1)}, "our key within": {"d": wire.Dict{"portward.x": true}}, "NUL": {"s": "a\x00b"}, "NUL in a key": {"a\x00b": true},
		"a year too far": {"d": time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, "no handle": {"h": wire.Handle{}},
	} {
		if err := c.Send(deadline(t), bad); err == nil {
			t.Errorf("sent: %s", name)
		} else {
			want(t, err, wire.ErrMalformed)
		}
		_, err := c.Call(deadline(t), bad)
		want(t, err, wire.ErrMalformed)
	}
	_, err := c.Call(deadline(t), number(1))
	ok(t, err)
	isNumber(t, receive(t, "the only message", r.messages), 1)
}

func slowHandler(t *testing.T, tr xpcpeer.Transport) {
	g, entered := newGate(), make(chan struct{}, 1)
	defer g.open()
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	c := dial(t, tr, xpcpeer.Events{Message: func(*xpcpeer.Conn, *xpcpeer.Message) { entered <- struct{}{}; g.wait() }})
	ok(t, c.Activate(deadline(t)))
	ok(t, receive(t, "peer", h.peers).Send(deadline(t), number(0)))
	receive(t, "the handler", entered)
	_, err := c.Call(deadline(t), number(1))
	ok(t, err)
}

func callInsideHandler(t *testing.T, tr xpcpeer.Transport) {
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(c *xpcpeer.Conn, m *xpcpeer.Message) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if d, err := c.Call(ctx, number(2)); err == nil {
			m.Reply(d)
		}
	}})
	c := dial(t, tr, xpcpeer.Events{Message: echo})
	d, err := c.Call(deadline(t), number(1))
	ok(t, err)
	isNumber(t, d, 2)
}

func evidence(t *testing.T, tr xpcpeer.Transport) {
	seen := make(chan *xpcpeer.Evidence, 2)
	policy := func(e *xpcpeer.Evidence) error { seen <- e; return nil }
	h := listen(t, tr, xpcpeer.Config{Policy: policy}, xpcpeer.Events{Message: echo})
	c := dialWith(t, tr, xpcpeer.Config{Policy: policy})
	if c.Evidence() != nil {
		t.Fatal("evidence before there is a peer")
	}
	ok(t, c.Activate(deadline(t)))
	peer := receive(t, "peer", h.peers)
	for range 2 {
		itIsUs(t, receive(t, "evidence", seen))
	}
	itIsUs(t, c.Evidence())
	itIsUs(t, peer.Evidence())
	peer.SetValue("owner's")
	if peer.Value() != "owner's" || c.Value() != nil {
		t.Fatal("values are mixed up")
	}
	if s := fmt.Sprint(peer); !strings.Contains(s, service) {
		t.Fatalf("a peer of %s is called %q", service, s)
	}
}
