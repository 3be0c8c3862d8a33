//go:build darwin || standin

package macos_test

import (
	"testing"
	"time"

	. "portward/internal/macos"
)

// An end is a connection under test. Its handler retains what arrives, hands it
// over and returns.
type end struct {
	t      *testing.T
	conn   Ref
	events chan Ref
	busy   chan struct{} // full while the handler runs
}

func newEnd(t *testing.T, conn Ref) *end {
	e := &end{t: t, conn: conn, events: make(chan Ref, 4096), busy: make(chan struct{}, 1)}
	XPCConnectionSetEventHandler(conn, e.handle)
	return e
}

func (e *end) handle(event Ref) {
	select {
	case e.busy <- struct{}{}:
	default:
		e.t.Error("a handler runs beside itself")
	}
	e.events <- XPCRetain(event)
	select {
	case <-e.busy:
	default:
	}
}

func (e *end) activate() *end {
	XPCConnectionActivate(e.conn)
	return e
}

// next waits for an event, which the caller releases.
func (e *end) next() Ref {
	e.t.Helper()
	select {
	case event := <-e.events:
		return event
	case <-time.After(20 * time.Second):
		e.t.Fatal("no event")
		return 0
	}
}

// message waits for a dictionary and takes its number.
func (e *end) message() int64 {
	e.t.Helper()
	d := e.next()
	defer XPCRelease(d)
	if XPCTypeOf(d) != XPCTypeDictionary {
		e.t.Fatalf("%v %v, not a message", XPCTypeOf(d), XPCErrorOf(d))
	}
	return XPCInt64GetValue(XPCDictionaryGetValue(d, "n"))
}

// fails waits for these errors, in order.
func (e *end) fails(want ...XPCError) {
	e.t.Helper()
	for _, w := range want {
		event := e.next()
		if got := XPCErrorOf(event); got != w {
			e.t.Errorf("%v (%v), want %v", got, XPCTypeOf(event), w)
		}
		XPCRelease(event)
	}
}

// quiet says that nothing has arrived.
func (e *end) quiet() {
	e.t.Helper()
	select {
	case event := <-e.events:
		e.t.Errorf("%v %v arrived", XPCTypeOf(event), XPCErrorOf(event))
		XPCRelease(event)
	default:
	}
}

// accept waits for a peer and makes it an end, not yet active.
func (e *end) accept() *end {
	e.t.Helper()
	p := e.next()
	if XPCTypeOf(p) != XPCTypeConnection {
		e.t.Fatalf("%v %v, not a peer", XPCTypeOf(p), XPCErrorOf(p))
	}
	return newEnd(e.t, p)
}

func (e *end) send(n int64) {
	d := number(n)
	XPCConnectionSendMessage(e.conn, d)
	XPCRelease(d)
}

// call sends n; the channel gets the reply's number, or the error with a minus.
func (e *end) call(n int64) <-chan int64 {
	d, answer := number(n), make(chan int64, 1)
	defer XPCRelease(d)
	XPCConnectionSendMessageWithReply(e.conn, d, 0, func(reply Ref) {
		if err := XPCErrorOf(reply); err != XPCNotError {
			answer <- -int64(err)
			return
		}
		answer <- XPCInt64GetValue(XPCDictionaryGetValue(reply, "n"))
	})
	return answer
}

// sent waits until all that was sent is on its way.
func (e *end) sent() <-chan struct{} {
	done := make(chan struct{})
	XPCConnectionSendBarrier(e.conn, func() { close(done) })
	return done
}

// close is the whole end of a connection that has not failed.
func (e *end) close() {
	e.t.Helper()
	XPCConnectionCancel(e.conn)
	e.fails(XPCInvalid)
	e.quiet()
	XPCRelease(e.conn)
}

// drop is the end of one that became invalid by itself.
func (e *end) drop() {
	e.t.Helper()
	e.fails(XPCInvalid)
	e.quiet()
	XPCRelease(e.conn)
}

func number(n int64) Ref {
	d := XPCDictionaryCreate()
	set(d, "n", XPCInt64Create(n))
	return d
}

func (e *end) reply(message Ref, n int64) { reply(e.conn, message, n) }

func reply(conn, message Ref, n int64) {
	r := XPCDictionaryCreateReply(message)
	set(r, "n", XPCInt64Create(n))
	XPCConnectionSendMessage(conn, r)
	XPCRelease(r)
}

func set(d Ref, key string, v Ref) {
	XPCDictionarySetValue(d, key, v)
	XPCRelease(v)
}

// anonymous is an active listener and an end that leads to it, not yet active.
func anonymous(t *testing.T) (listener, client *end) {
	t.Helper()
	listener = newEnd(t, XPCConnectionCreate(0)).activate()
	endpoint := XPCEndpointCreate(listener.conn)
	client = newEnd(t, XPCConnectionCreateFromEndpoint(endpoint))
	XPCRelease(endpoint)
	return listener, client
}

// pair is a connection over an endpoint; the first message, 0, has been taken.
func pair(t *testing.T) (listener, client, peer *end) {
	t.Helper()
	listener, client = anonymous(t)
	client.activate().send(0)
	peer = listener.accept().activate()
	if n := peer.message(); n != 0 {
		t.Fatalf("first message %d", n)
	}
	return listener, client, peer
}
