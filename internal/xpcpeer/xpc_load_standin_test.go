//go:build standin && !darwin

package xpcpeer_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	. "portward/internal/macos"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// Rule: a reader that is behind holds a few messages and has its connection
// suspended; the rest waits at the sender, and comes in order when it goes on.
func TestXPCBackPressure(t *testing.T) {
	leavesNothing(t)
	const flood = 5000
	tr, gate := xpcpeer.Standin(t.Logf), make(chan struct{})
	got, peers := make(chan int64, flood), make(chan *xpcpeer.Conn, 1)
	l, err := xpcpeer.Listen(tr, service, xpcpeer.Config{Policy: yes, Accept: func(c *xpcpeer.Conn) (xpcpeer.Events, error) {
		peers <- c
		return xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
			<-gate
			n, _ := wire.Get[int64](m.Dict(), "n")
			got <- n
		}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := nativeClient(t, tr)
	if said := n.ask(t, hello()); said != "portward.welcome" {
		t.Fatal(said)
	}
	for i := range flood {
		n.send(object(map[string]Ref{"n": XPCInt64Create(int64(i))}))
	}
	peer := come(t, "peer", peers)
	defer end(t, peer)
	eventually(t, "it is suspended", func() bool {
		_, suspended := xpcpeer.Behind(peer)
		return suspended
	})
	for range 1000 {
		if n, suspended := xpcpeer.Behind(peer); n > 16 || !suspended {
			t.Fatalf("%d messages wait, suspended: %v", n, suspended)
		}
	}
	close(gate)
	for i := range int64(flood) {
		if n := come(t, "message", got); n != i {
			t.Fatalf("message %d, want %d", n, i)
		}
	}
}

// Rule: a connection that is suspended can be closed, at once.
func TestXPCCloseSuspended(t *testing.T) {
	leavesNothing(t)
	tr, gate := xpcpeer.Standin(t.Logf), make(chan struct{})
	peers := nativeServer(t, tr)
	c := dialing(t, tr, xpcpeer.Config{Events: xpcpeer.Events{Message: func(*xpcpeer.Conn, *xpcpeer.Message) { <-gate }}})
	go c.Activate(patient())
	peer := come(t, "peer", peers)
	peer.answer(t, welcomed())
	for range 100 {
		peer.send(XPCDictionaryCreate())
	}
	eventually(t, "it is suspended", func() bool {
		_, suspended := xpcpeer.Behind(c)
		return suspended
	})
	c.Close()
	if e := come(t, "the peer's end", peer.events); e != "invalid" {
		t.Error(e)
	}
	close(gate)
}

// Rule: a million messages and a hundred thousand calls leave nothing.
func TestXPCMillion(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, "", nil)
	c := dialing(t, tr, xpcpeer.Config{MaxQueue: 4096})
	for i := range million {
		if err := c.Send(context.Background(), number(i)); err != nil {
			t.Fatal(err)
		}
		if i%2000 == 0 { // so that the queue does not overflow
			if _, err := c.Call(patient(), number(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all sync.WaitGroup
	var calls atomic.Int64
	for range 8 {
		all.Go(func() {
			for n := calls.Add(1); n <= hundredThousand; n = calls.Add(1) {
				d, err := c.Call(patient(), number(int(n)))
				if got, _ := wire.Get[int64](d, "n"); err != nil || got != n {
					t.Errorf("call %d: %v, %v", n, d, err)
					return
				}
			}
		})
	}
	all.Wait()
	if n := w.messages.Load(); n != million+million/2000+hundredThousand {
		t.Errorf("%d messages", n)
	}
}
