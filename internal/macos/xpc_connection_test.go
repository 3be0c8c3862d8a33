//go:build darwin || standin

package macos_test

import (
	"os"
	"testing"

	. "portward/internal/macos"
)

// Rule: a connection made from an endpoint whose listener is gone is invalid.
func TestDeadEndpoint(t *testing.T) {
	checkLive(t)
	listener, client := anonymous(t)
	listener.close()
	client.activate().send(1)
	client.drop()
}

// Rule: a peer that the listener's handler cancels never hears of it, and its
// client does.
func TestRefusedPeer(t *testing.T) {
	checkLive(t)
	listener, client := anonymous(t)
	client.activate()
	answer := client.call(1)
	peer := listener.accept()
	XPCConnectionCancel(peer.conn)
	if got := <-answer; got >= 0 {
		t.Errorf("a reply of nobody: %d", got)
	}
	client.drop()
	peer.quiet()
	XPCRelease(peer.conn)
	listener.close()
}

// Rule: cancelling gives one XPCInvalid to the own handler and to all who wait
// for a reply, the peer gets what was on its way and then XPCInvalid.
func TestCancel(t *testing.T) {
	checkLive(t)
	listener, client, peer := pair(t)
	var waiting []<-chan int64
	for i := range int64(10) {
		waiting = append(waiting, client.call(i))
	}
	<-client.sent()
	XPCConnectionCancel(client.conn)
	XPCConnectionCancel(client.conn)
	for _, w := range waiting {
		if got := <-w; got != -int64(XPCInvalid) {
			t.Errorf("a pending reply got %d", got)
		}
	}
	client.send(11)
	if got := <-client.call(12); got != -int64(XPCInvalid) {
		t.Errorf("a call after the end got %d", got)
	}
	<-client.sent() // at once
	for i := range int64(10) {
		if n := peer.message(); n != i {
			t.Errorf("message %d, want %d", n, i)
		}
	}
	client.drop()
	peer.drop()
	listener.close()
}

// Rule: messages of one connection arrive in their order, both ways at once, and
// a handler never runs beside itself.
func TestOrder(t *testing.T) {
	checkLive(t)
	listener, client, peer := pair(t)
	const many = 3000
	go func() {
		for i := range int64(many) {
			client.send(i)
		}
	}()
	go func() {
		for i := range int64(many) {
			peer.send(i)
		}
	}()
	for i := range int64(many) {
		if a, b := peer.message(), client.message(); a != i || b != i {
			t.Fatalf("%d and %d, want %d", a, b, i)
		}
	}
	client.close()
	peer.drop()
	listener.close()
}

// Rule: both sides can call, and a message has one reply.
func TestReplies(t *testing.T) {
	checkLive(t)
	listener, client, peer := pair(t)
	for i, sides := range [][2]*end{{client, peer}, {peer, client}} {
		answer := sides[0].call(int64(i))
		m := sides[1].next()
		sides[1].reply(m, int64(i)+100)
		if again := XPCDictionaryCreateReply(m); again != 0 {
			t.Error("a second reply")
		}
		XPCRelease(m)
		if got := <-answer; got != int64(i)+100 {
			t.Errorf("reply %d", got)
		}
	}
	client.close()
	peer.drop()
	listener.close()
}

// Rule: a suspended connection hands nothing over and loses nothing.
func TestSuspend(t *testing.T) {
	checkLive(t)
	listener, client, peer := pair(t)
	XPCConnectionSuspend(peer.conn)
	XPCConnectionSuspend(peer.conn)
	const many = 200
	for i := range int64(many) {
		client.send(i)
	}
	XPCConnectionResume(peer.conn)
	peer.quiet()
	XPCConnectionResume(peer.conn)
	for i := range int64(many) {
		if n := peer.message(); n != i {
			t.Fatalf("%d, want %d", n, i)
		}
	}
	client.close()
	peer.drop()
	listener.close()
}

// Rule: descriptors and endpoints travel in containers; what arrives is another
// object than what was sent, and works.
func TestPassing(t *testing.T) {
	checkLive(t)
	listener, client, peer := pair(t)
	other, _ := anonymousListener(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	message, list := XPCDictionaryCreate(), XPCArrayCreate()
	for _, v := range []Ref{XPCFDCreate(int(w.Fd())), XPCEndpointCreate(other.conn), XPCStringCreate("text")} {
		XPCArrayAppendValue(list, v)
		XPCRelease(v)
	}
	set(message, "list", list)
	XPCConnectionSendMessage(client.conn, message)
	XPCRelease(message)
	w.Close()

	got := peer.next()
	values := XPCDictionaryGetValue(got, "list")
	if values == list {
		t.Error("the sender's own object arrived")
	}
	fd, err := XPCFDDup(XPCArrayGetValue(values, 0))
	if err != nil {
		t.Fatal(err)
	}
	third := newEnd(t, XPCConnectionCreateFromEndpoint(XPCArrayGetValue(values, 1))).activate()
	XPCRelease(got)
	f := os.NewFile(uintptr(fd), "passed")
	f.WriteString("x")
	f.Close()
	if n, err := r.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Error(n, err)
	}
	third.send(5)
	fourth := other.accept().activate()
	if n := fourth.message(); n != 5 {
		t.Error(n)
	}
	third.close()
	fourth.drop()
	other.close()
	client.close()
	peer.drop()
	listener.close()
}

func anonymousListener(t *testing.T) (*end, Ref) {
	l := newEnd(t, XPCConnectionCreate(0)).activate()
	return l, l.conn
}

// Rule: connections may share a queue, and replies come on the one they ask for.
func TestQueues(t *testing.T) {
	checkLive(t)
	q := DispatchQueueCreate("shared")
	listener := newEnd(t, XPCConnectionCreate(q)).activate()
	endpoint := XPCEndpointCreate(listener.conn)
	client := newEnd(t, XPCConnectionCreateFromEndpoint(endpoint))
	XPCRelease(endpoint)
	XPCConnectionSetTargetQueue(client.conn, q)
	client.activate().send(0)
	peer := listener.accept()
	XPCConnectionSetTargetQueue(peer.conn, q)
	peer.activate()
	peer.message()

	m, answer := number(1), make(chan int64, 1)
	XPCConnectionSendMessageWithReply(client.conn, m, q, func(r Ref) { answer <- XPCInt64GetValue(XPCDictionaryGetValue(r, "n")) })
	XPCRelease(m)
	DispatchRelease(q) // the connections keep it
	asked := peer.next()
	peer.reply(asked, 2)
	XPCRelease(asked)
	if got := <-answer; got != 2 {
		t.Error(got)
	}
	client.close()
	peer.drop()
	listener.close()
}

// Rule: a handler may be replaced, and may send, cancel and release.
func TestHandlersMayDoAnything(t *testing.T) {
	checkLive(t)
	listener, client := anonymous(t)
	done := make(chan XPCError, 2)
	XPCConnectionSetEventHandler(client.conn, func(event Ref) {
		if e := XPCErrorOf(event); e != XPCNotError {
			done <- e
			XPCRelease(client.conn)
			return
		}
		XPCConnectionSendMessage(client.conn, event)
		XPCConnectionCancel(client.conn)
	})
	client.activate().send(0)
	peer := listener.accept().activate()
	peer.message()
	peer.send(7)
	if e := <-done; e != XPCInvalid {
		t.Error(e)
	}
	if n := peer.message(); n != 7 {
		t.Error(n)
	}
	peer.drop()
	listener.close()
}
