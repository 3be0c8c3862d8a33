package xpcpeertest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// note answers an open file with that content.
func note(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "note"))
	ok(t, err)
	t.Cleanup(func() { f.Close() })
	_, err = f.WriteString(text)
	ok(t, err)
	return f
}

func reads(t *testing.T, h wire.Handle, text string) {
	t.Helper()
	f, isFile := h.File()
	if !isFile {
		t.Fatalf("a %v that is a %T", h.Kind, h.Object)
	}
	b := make([]byte, len(text)+1)
	n, err := f.ReadAt(b, 0)
	if string(b[:n]) != text || err != io.EOF {
		t.Fatalf("read %q, %v, want %q", b[:n], err, text)
	}
}

// handlesArrive: the sender may close its own at once, both ways, both kinds.
func handlesArrive(t *testing.T, tr xpcpeer.Transport) {
	arrived := make(chan wire.Handle, 2)
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
		fd, _ := m.Dict().Take("fd", wire.HandleFD)
		s, _ := m.Dict().Take("surface", wire.HandleSurface)
		arrived <- fd
		arrived <- s
		m.Reply(wire.Dict{"back": fd})
	}})
	c := dial(t, tr, xpcpeer.Events{})
	a, b := note(t, "letter"), note(t, "pixels")
	d, err := c.Call(deadline(t), wire.Dict{"fd": wire.FD(a), "surface": wire.Surface(b)})
	ok(t, err)
	a.Close()
	b.Close()
	for _, text := range []string{"letter", "pixels"} {
		h := receive(t, text, arrived)
		reads(t, h, text)
		h.Close()
	}
	reads(t, d["back"].(wire.Handle), "letter")
	d.Close()
}

func handlesLeft(t *testing.T, tr xpcpeer.Transport) {
	left := make(chan wire.Handle, 1)
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
		left <- m.Dict()["fd"].(wire.Handle)
	}})
	c := dial(t, tr, xpcpeer.Events{})
	f := note(t, "mine")
	ok(t, c.Send(deadline(t), wire.Dict{"fd": wire.FD(f)}))
	got := receive(t, "handle", left)
	hangUp(t, receive(t, "peer", h.peers))
	if err := got.Close(); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("a handle that nobody took was still open: %v", err)
	}
	reads(t, wire.FD(f), "mine")
}

func handlesKept(t *testing.T, tr xpcpeer.Transport) {
	kept := make(chan *xpcpeer.Message, 1)
	h := listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
		m.Keep()
		kept <- m
	}})
	c := dial(t, tr, xpcpeer.Events{})
	ok(t, c.Send(deadline(t), wire.Dict{"fd": wire.FD(note(t, "kept"))}))
	m := receive(t, "message", kept)
	hangUp(t, receive(t, "peer", h.peers))
	reads(t, m.Dict()["fd"].(wire.Handle), "kept")
	m.Dict().Close()
}

func manyHandles(t *testing.T, tr xpcpeer.Transport) {
	listen(t, tr, xpcpeer.Config{Policy: yes}, xpcpeer.Events{Message: echo})
	c := dial(t, tr, xpcpeer.Events{})
	sent, list := wire.Dict{}, []any{}
	for i := range wire.MaxHandles / 2 {
		sent[fmt.Sprint(i)] = wire.FD(note(t, fmt.Sprint("key ", i)))
		list = append(list, wire.Surface(note(t, fmt.Sprint("element ", i))))
	}
	sent["list"] = list
	got, err := c.Call(deadline(t), sent)
	ok(t, err)
	surfaces, isList := got.TakeAll("list", wire.HandleSurface)
	if !isList || len(surfaces) != len(list) {
		t.Fatalf("got %v", got)
	}
	for i, s := range surfaces {
		reads(t, s, fmt.Sprint("element ", i))
		reads(t, got[fmt.Sprint(i)].(wire.Handle), fmt.Sprint("key ", i))
		s.Close()
	}
	got.Close()
	sent["one more"] = list[0]
	want(t, c.Send(deadline(t), sent), wire.ErrMalformed)
}
