package main

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/wire"
)

// Rule: the page may be asked for under this machine's own names, and under its
// names in the network only where the port is open to it.
func TestHostsOf(t *testing.T) {
	own, err := hostsOf(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8443})
	if err != nil || !slices.Contains(own, "localhost:8443") || !slices.Contains(own, "127.0.0.1:8443") || len(own) != 4 {
		t.Errorf("%v, %v", own, err)
	}
	open, err := hostsOf(&net.TCPAddr{IP: net.IPv4zero, Port: 8443})
	if err != nil || len(open) <= len(own) {
		t.Errorf("%v, %v", open, err)
	}
	if _, err := hostsOf(&net.UnixAddr{}); err == nil {
		t.Error("a path was taken for a port")
	}
}

// Rule: so many connections are open at once, and each that closes lets another
// in; closing the listener ends a wait for that.
func TestBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := bounded(inner, 1)
	for range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		second <- c
	}()
	select {
	case <-second:
		t.Fatal("one more was let in")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // counts once
	c := <-second
	third := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		third <- err
	}()
	l.Close()
	if err := <-third; err == nil {
		t.Error("a closed listener let somebody in")
	}
	c.Close()
}

// Rule: news of logins is not undone by the older list of a check-in that was
// under way.
func TestNewsBeatsCheckIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins()
		before := l.heard()
		l.tell([]wire.SessionInfo{{ID: "2", UID: 7}})
		l.set(before, nil)
		if !l.has(t.Context(), "2", 7) {
			t.Error("the login is gone")
		}
		l.set(l.heard(), []wire.SessionInfo{{ID: "3", UID: 8}})
		if !l.has(t.Context(), "3", 8) {
			t.Error("a check-in after the news was passed over")
		}
	})
}
