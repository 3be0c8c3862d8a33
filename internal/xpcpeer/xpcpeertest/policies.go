package xpcpeertest

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"testing"

	"portward/internal/xpcpeer"
)

func itIsUs(t *testing.T, e *xpcpeer.Evidence) {
	t.Helper()
	if e == nil || e.PID != os.Getpid() || e.UID != uint32(os.Geteuid()) || e.GID != uint32(os.Getegid()) {
		t.Fatalf("evidence %v of process %d", e, os.Getpid())
	}
	exe, err := e.Executable()
	if errors.Is(err, xpcpeer.ErrNoProof) {
		if f, has := e.PidFD(); has {
			f.Close()
			t.Fatalf("a process descriptor that proves nothing: %v", err)
		}
		return
	}
	ok(t, err)
	defer exe.Close()
	got, err := exe.Stat()
	ok(t, err)
	path, err := os.Executable()
	ok(t, err)
	our, err := os.Stat(path)
	ok(t, err)
	if !os.SameFile(got, our) {
		t.Fatalf("the evidence's executable is not %s", path)
	}
	if f, has := e.PidFD(); has {
		f.Close()
	}
}

func serverWithoutPolicy(t *testing.T, tr xpcpeer.Transport) {
	h := listen(t, tr, xpcpeer.Config{}, xpcpeer.Events{Message: echo})
	r := newRecorder()
	c := dial(t, tr, r.events())
	_, err := c.Call(deadline(t), number(1))
	want(t, err, xpcpeer.ErrInvalid)
	want(t, err, xpcpeer.ErrRefused)
	want(t, receive(t, "invalid", r.invalid), xpcpeer.ErrRefused)
	if len(h.peers) > 0 {
		t.Fatal("a refused peer was accepted")
	}
}

// clientWithoutPolicy: nothing of the user's reaches a server that is refused.
func clientWithoutPolicy(t *testing.T, tr xpcpeer.Transport) {
	there := newRecorder()
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, there.events())
	r := newRecorder()
	c := dialWith(t, tr, xpcpeer.Config{Events: r.events()})
	ok(t, c.Send(deadline(t), number(1)))
	err := receive(t, "invalid", r.invalid)
	want(t, err, xpcpeer.ErrInvalid)
	want(t, err, xpcpeer.ErrRefused)
	receive(t, "the refused server's end", receive(t, "peer", h.peers).Done())
	if len(there.messages) > 0 {
		t.Fatal("a refused server was sent a message")
	}
}

func policyError(t *testing.T, tr xpcpeer.Transport) {
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	r := newRecorder()
	c := dialWith(t, tr, xpcpeer.Config{Policy: func(*xpcpeer.Evidence) error { return io.EOF }, Events: r.events()})
	_, err := c.Call(deadline(t), number(1))
	want(t, err, xpcpeer.ErrRefused)
	want(t, err, io.EOF)
	want(t, receive(t, "invalid", r.invalid), io.EOF)
}

func acceptRefuses(t *testing.T, tr xpcpeer.Transport) {
	listen(t, tr, xpcpeer.Config{Policy: yes, Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
		return xpcpeer.Events{}, errors.New("no room")
	}}, xpcpeer.Events{})
	c := dial(t, tr, xpcpeer.Events{})
	want(t, c.Activate(deadline(t)), xpcpeer.ErrRefused)
}

func policyAskedAgain(t *testing.T, tr xpcpeer.Transport) {
	var asked atomic.Int32
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	r := newRecorder()
	c := dialWith(t, tr, xpcpeer.Config{Events: r.events(), Policy: func(*xpcpeer.Evidence) error {
		if asked.Add(1) == 3 {
			return errors.New("the third is an impostor")
		}
		return nil
	}})
	for range 2 {
		_, err := c.Call(deadline(t), number(1))
		ok(t, err)
		hangUp(t, receive(t, "peer", h.peers))
		receive(t, "interruption", r.interrupted)
	}
	_, err := c.Call(deadline(t), number(1))
	want(t, err, xpcpeer.ErrRefused)
	want(t, receive(t, "invalid", r.invalid), xpcpeer.ErrRefused)
}

func activate(t *testing.T, tr xpcpeer.Transport) {
	r := newRecorder()
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, r.events())
	c := dial(t, tr, xpcpeer.Events{})
	ok(t, c.Activate(deadline(t)))
	ok(t, c.Activate(deadline(t)))
	receive(t, "peer", h.peers)
	if len(h.peers) > 0 || len(r.messages) > 0 {
		t.Fatal("activation was seen as more than a peer")
	}
}
