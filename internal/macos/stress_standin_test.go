//go:build standin && !darwin

package macos_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "portward/internal/macos"
)

// Rule: a million calls from foreign threads arrive, each with its argument, and
// leave nothing behind, while the collector runs.
func TestMillionCallbacks(t *testing.T) {
	checkLive(t)
	defer collect(t)()
	const threads = 4
	var count, sum atomic.Int64
	n := int64(million / threads)
	StandinDrive(func(o Ref) { count.Add(1); sum.Add(int64(o)) }, n, threads)
	if want := threads * n * (n + 1) / 2; count.Load() != threads*n || sum.Load() != want {
		t.Errorf("%d calls, sum %d, want %d and %d", count.Load(), sum.Load(), threads*n, want)
	}
}

// Rule: a million messages arrive in order and leave nothing behind.
func TestMillionMessages(t *testing.T) {
	checkLive(t)
	defer collect(t)()
	listener, client := anonymous(t)
	got, done := int64(0), make(chan struct{})
	client.activate().send(0)
	peer := listener.accept()
	XPCConnectionSetEventHandler(peer.conn, func(event Ref) {
		if XPCTypeOf(event) != XPCTypeDictionary {
			close(done)
			return
		}
		if n := XPCInt64GetValue(XPCDictionaryGetValue(event, "n")); n != got {
			t.Errorf("message %d, want %d", n, got)
		}
		got++
	})
	peer.activate()
	for i := range int64(million - 1) {
		client.send(i + 1)
		if i%1024 == 0 {
			<-client.sent()
		}
	}
	<-client.sent()
	client.close()
	<-done
	if got != million {
		t.Errorf("%d messages", got)
	}
	XPCRelease(peer.conn)
	listener.close()
}

// Rule: calls from many goroutines over many connections all get their own reply;
// blocks, and the functions in them, come and go by the thousand.
func TestManyCalls(t *testing.T) {
	checkLive(t)
	defer collect(t)()
	const connections, calls = 8, million / 200
	listener := XPCConnectionCreate(0)
	XPCConnectionSetEventHandler(listener, echoPeers)
	XPCConnectionActivate(listener)
	endpoint := XPCEndpointCreate(listener)
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			c := newEnd(t, XPCConnectionCreateFromEndpoint(endpoint)).activate()
			for i := range int64(calls) {
				if got := <-c.call(i); got != i {
					t.Errorf("reply %d, want %d", got, i)
				}
			}
			c.close()
		})
	}
	all.Wait()
	XPCRelease(endpoint)
	XPCConnectionCancel(listener)
	XPCRelease(listener)
}

func echoPeers(peer Ref) {
	if XPCTypeOf(peer) != XPCTypeConnection {
		return
	}
	XPCConnectionSetEventHandler(peer, func(event Ref) {
		if XPCTypeOf(event) == XPCTypeDictionary {
			reply(peer, event, XPCInt64GetValue(XPCDictionaryGetValue(event, "n")))
		}
	})
	XPCConnectionActivate(peer)
}

// Rule: connections that end at any moment, from either side, in the middle of
// everything, leave nothing behind.
func TestEndsInTheMiddle(t *testing.T) {
	checkLive(t)
	defer collect(t)()
	for round := range int64(million / 5000) {
		listener, client, peer := pair(t)
		var all sync.WaitGroup
		var waiting [20]<-chan int64
		all.Go(func() {
			for i := range waiting {
				waiting[i] = client.call(int64(i))
				peer.send(int64(i))
			}
		})
		all.Go(func() {
			for range round % 10 {
				runtime.Gosched()
			}
			XPCConnectionCancel([]Ref{client.conn, peer.conn}[round%2])
			StandinDie(listener.conn)
		})
		all.Wait()
		for i, w := range waiting {
			if got := <-w; got >= 0 {
				t.Errorf("call %d: %d", i, got)
			}
		}
		for _, e := range []*end{client, peer, listener} {
			for e.failure() != XPCInvalid {
			}
			e.quiet()
			XPCRelease(e.conn)
		}
	}
}

// failure is the next event's error; the event is released.
func (e *end) failure() XPCError {
	event := e.next()
	defer XPCRelease(event)
	return XPCErrorOf(event)
}

// Rule: a block lives as long as its last copy, and its function goes with it.
func TestBlockCopies(t *testing.T) {
	checkLive(t)
	before := LiveHandlers()
	b := NewBlock(func(_, _ Ref) bool { return true })
	c := CopyBlock(b)
	ReleaseBlock(b)
	if LiveHandlers() != before+1 {
		t.Error("a copied block's function is gone")
	}
	ReleaseBlock(c)
	if LiveHandlers() != before {
		t.Error("a released block's function is still there")
	}
}

// collect runs the collector all the time until its answer is called.
func collect(testing.TB) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
				runtime.GC()
			}
		}
	}()
	return func() { close(quit); <-done }
}
