package xpcpeertest

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// patience is how long a condition may take on a slow, loaded machine.
const patience = 30 * time.Second

const service = "dev.portward.test"

func yes(*xpcpeer.Evidence) error { return nil }

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func receive[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("never came: %s", what)
		panic("unreachable")
	}
}

func want(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// leakFree fails the test if it leaves a goroutine or descriptor behind.
func leakFree(t *testing.T) {
	warm(t)
	before, ignore := openFiles(), goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if before >= 0 {
			eventually(t, "as many open descriptors as before", func() bool { return openFiles() <= before })
		}
		goleak.VerifyNone(t, ignore)
	})
}

// warm opens what the runtime keeps open.
func warm(t *testing.T) {
	r, w, err := os.Pipe()
	ok(t, err)
	r.Close()
	w.Close()
}

func openFiles() int {
	d, err := os.ReadDir("/dev/fd")
	if err != nil {
		return -1
	}
	return len(d)
}

// A host is a listener with the peers it accepted.
type host struct {
	*xpcpeer.Listener
	peers chan *xpcpeer.Conn // as they are accepted
	mu    sync.Mutex
	all   []*xpcpeer.Conn
}

// listen serves the test's service; everything is closed when the test ends.
func listen(t *testing.T, tr xpcpeer.Transport, cfg xpcpeer.Config, events xpcpeer.Events) *host {
	t.Helper()
	return start(t, cfg, events, func(cfg xpcpeer.Config) (*xpcpeer.Listener, error) {
		return xpcpeer.Listen(tr, service, cfg)
	})
}

func listenAnonymously(t *testing.T, tr xpcpeer.Transport, cfg xpcpeer.Config, events xpcpeer.Events) *host {
	t.Helper()
	return start(t, cfg, events, func(cfg xpcpeer.Config) (*xpcpeer.Listener, error) {
		return xpcpeer.Anonymous(tr, cfg)
	})
}

func start(t *testing.T, cfg xpcpeer.Config, events xpcpeer.Events, listen func(xpcpeer.Config) (*xpcpeer.Listener, error)) *host {
	t.Helper()
	h := &host{peers: make(chan *xpcpeer.Conn, 2000)}
	if cfg.Accept == nil {
		cfg.Accept = func(c *xpcpeer.Conn) (xpcpeer.Events, error) {
			h.mu.Lock()
			h.all = append(h.all, c)
			h.mu.Unlock()
			h.peers <- c
			return events, nil
		}
	}
	l, err := listen(cfg)
	ok(t, err)
	h.Listener = l
	t.Cleanup(func() {
		l.Close()
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, c := range h.all {
			hangUp(t, c)
		}
	})
	return h
}

// dial connects to the test's service; the connection is closed when the test ends.
func dial(t *testing.T, tr xpcpeer.Transport, events xpcpeer.Events) *xpcpeer.Conn {
	t.Helper()
	return dialWith(t, tr, xpcpeer.Config{Policy: yes, Events: events})
}

func dialWith(t *testing.T, tr xpcpeer.Transport, cfg xpcpeer.Config) *xpcpeer.Conn {
	t.Helper()
	c := xpcpeer.Dial(tr, service, cfg)
	t.Cleanup(func() { hangUp(t, c) })
	return c
}

func hangUp(t *testing.T, c *xpcpeer.Conn) {
	t.Helper()
	c.Close()
	receive(t, "the end of "+c.String(), c.Done())
}

// echo answers each call with its own dictionary.
func echo(_ *xpcpeer.Conn, m *xpcpeer.Message) {
	if m.WantsReply() {
		m.Reply(m.Dict())
	}
}

// A log of events, in order.
type recorder struct {
	messages    chan wire.Dict
	interrupted chan struct{}
	invalid     chan error
}

func newRecorder() *recorder {
	return &recorder{make(chan wire.Dict, 20000), make(chan struct{}, 100), make(chan error, 100)}
}

func (r *recorder) events() xpcpeer.Events {
	return xpcpeer.Events{
		Message: func(c *xpcpeer.Conn, m *xpcpeer.Message) {
			r.messages <- m.Dict()
			echo(c, m)
		},
		Interrupted: func(*xpcpeer.Conn) { r.interrupted <- struct{}{} },
		Invalid:     func(_ *xpcpeer.Conn, err error) { r.invalid <- err },
	}
}

// number is a message that says n.
func number(n int) wire.Dict { return wire.Dict{"n": int64(n)} }

func isNumber(t *testing.T, d wire.Dict, n int) {
	t.Helper()
	if got, _ := wire.Get[int64](d, "n"); got != int64(n) {
		t.Fatalf("message %v, want number %d", d, n)
	}
}

// A gate blocks handlers until it is opened, which tests defer.
type gate struct {
	ch   chan struct{}
	once sync.Once
}

func newGate() *gate { return &gate{ch: make(chan struct{})} }

func (g *gate) open() { g.once.Do(func() { close(g.ch) }) }
func (g *gate) wait() { <-g.ch }
