//go:build standin && !darwin

package xpcpeer_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	. "portward/internal/macos"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// leavesNothing fails the test if it leaves a goroutine, or an object in libxpc.
func leavesNothing(t *testing.T) {
	t.Helper()
	checkLive(t)
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
}

func come[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("never came: %s", what)
		panic("unreachable")
	}
}

// A native speaks to libxpc by hand: a client's connection, or a peer's.
type native struct {
	conn   Ref
	events chan string // errors, and "message"
	got    chan Ref    // messages, retained
}

// adopt takes over an inactive connection.
func adopt(t *testing.T, conn Ref) *native {
	t.Helper()
	n := &native{conn, make(chan string, 10_000), make(chan Ref, 10_000)}
	over := make(chan struct{})
	XPCConnectionSetEventHandler(conn, func(e Ref) {
		if XPCTypeOf(e) == XPCTypeDictionary {
			n.got <- XPCRetain(e)
			return
		}
		n.events <- errorText(e)
		if XPCErrorOf(e) == XPCInvalid {
			close(over)
		}
	})
	XPCConnectionActivate(conn)
	t.Cleanup(func() {
		XPCConnectionCancel(conn)
		come(t, "the native's end", over)
		XPCRelease(conn)
		for len(n.got) > 0 {
			XPCRelease(<-n.got)
		}
	})
	return n
}

// errorText is what happened, in the tests' words.
func errorText(e Ref) string {
	words := [...]string{XPCInterrupted: "interrupted", XPCInvalid: "invalid", XPCPeerRequirement: "peer requirement", XPCOtherError: "another error"}
	return words[XPCErrorOf(e)]
}

func nativeClient(t *testing.T, tr xpcpeer.Transport) *native {
	t.Helper()
	return adopt(t, XPCConnectionCreateMachService(xpcpeer.ServiceName(tr, service), 0, 0))
}

// nativeServer serves the test's service by hand: each peer as it comes.
func nativeServer(t *testing.T, tr xpcpeer.Transport) <-chan *native {
	t.Helper()
	peers, over := make(chan *native, 100), make(chan struct{})
	l := XPCConnectionCreateMachService(xpcpeer.ServiceName(tr, service), 0, XPCListener)
	XPCConnectionSetEventHandler(l, func(e Ref) {
		if XPCTypeOf(e) == XPCTypeConnection {
			peers <- adopt(t, XPCRetain(e))
		} else if XPCErrorOf(e) == XPCInvalid {
			close(over)
		}
	})
	XPCConnectionActivate(l)
	t.Cleanup(func() {
		XPCConnectionCancel(l)
		come(t, "the native listener's end", over)
		XPCRelease(l)
	})
	return peers
}

// send takes the message over.
func (n *native) send(m Ref) {
	XPCConnectionSendMessage(n.conn, m)
	XPCRelease(m)
}

// ask answers the reply's error or, for a dictionary, its only key.
func (n *native) ask(t *testing.T, m Ref) string {
	t.Helper()
	said := make(chan string, 1)
	XPCConnectionSendMessageWithReply(n.conn, m, 0, func(reply Ref) {
		if XPCTypeOf(reply) != XPCTypeDictionary {
			said <- errorText(reply)
			return
		}
		keys := ""
		XPCDictionaryApply(reply, wire.MaxKey, func(key string, _ Ref) bool { keys += key; return true })
		said <- keys
	})
	XPCRelease(m)
	return come(t, "a reply", said)
}

// answer replies to what the native got next; reply is taken over.
func (n *native) answer(t *testing.T, fill map[string]Ref) {
	t.Helper()
	m := come(t, "something to answer", n.got)
	reply := XPCDictionaryCreateReply(m)
	XPCRelease(m)
	if reply == 0 {
		t.Fatal("it wants no answer")
	}
	for key, v := range fill {
		XPCDictionarySetValue(reply, key, v)
		XPCRelease(v)
	}
	n.send(reply)
}

// drop lets go of what the native got next.
func (n *native) drop(t *testing.T) {
	t.Helper()
	XPCRelease(come(t, "something to drop", n.got))
}

// object is a dictionary of these, which are taken over.
func object(fill map[string]Ref) Ref {
	d := XPCDictionaryCreate()
	for key, v := range fill {
		XPCDictionarySetValue(d, key, v)
		XPCRelease(v)
	}
	return d
}

func list(n int, v func() Ref) Ref {
	a := XPCArrayCreate()
	for range n {
		e := v()
		XPCArrayAppendValue(a, e)
		XPCRelease(e)
	}
	return a
}

func hello() Ref { return object(map[string]Ref{"portward.hello": XPCUint64Create(1)}) }
func welcomed() map[string]Ref {
	return map[string]Ref{"portward.welcome": XPCUint64Create(1)}
}

func number(n int) wire.Dict { return wire.Dict{"n": int64(n)} }
