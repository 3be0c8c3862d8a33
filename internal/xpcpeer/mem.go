package xpcpeer

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"portward/internal/wire"
)

// memDepth is how many packets lie between two in-memory peers, as socket
// buffers would hold.
const memDepth = 64

// Mem answers a transport within this process, with a namespace of its own. It
// encodes, duplicates and limits as the others do; both peers are this process.
// Its endpoints work only with itself.
func Mem() Transport { return &mem{names: make(map[string]*memListener)} }

type mem struct {
	mu    sync.Mutex
	names map[string]*memListener
}

func (m *mem) listen(name, _ string) (acceptor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] != nil {
		return nil, syscall.EADDRINUSE
	}
	l := newMemListener()
	l.forget = func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.names, name)
	}
	m.names[name] = l
	return l, nil
}

func (m *mem) anonymous(string) (acceptor, error) {
	l := newMemListener()
	l.nameless = true
	return l, nil
}

func (m *mem) dial(_ context.Context, name, _ string) (link, error) {
	m.mu.Lock()
	l := m.names[name]
	m.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("service %s: %w", name, fs.ErrNotExist)
	}
	return l.connect()
}

func (m *mem) connect(_ context.Context, ep wire.Handle, _ string) (link, error) {
	e, ok := ep.Object.(*memEndpoint)
	if !ok {
		return nil, malformed("no endpoint of this transport")
	}
	return e.listener.connect()
}

func (m *mem) retain(ep wire.Handle) (wire.Handle, error) {
	if _, ok := ep.Object.(*memEndpoint); !ok || ep.Kind != wire.HandleEndpoint {
		return wire.Handle{}, malformed("no endpoint of this transport")
	}
	return m.dup(ep)
}

func (m *mem) pack(p packet) (parcel, error) { return packBundle(p, m.dup) }

func (m *mem) dup(h wire.Handle) (wire.Handle, error) {
	switch o := h.Object.(type) {
	case *memEndpoint:
		if h.Kind == wire.HandleEndpoint {
			return wire.Handle{Kind: h.Kind, Object: &memEndpoint{o.listener}}, nil
		}
	case *os.File:
		f, err := dupFile(o)
		return wire.Handle{Kind: h.Kind, Object: f}, err
	}
	return wire.Handle{}, malformed("a %v that is a %T", h.Kind, h.Object)
}

// A memEndpoint refers to a listener; closing it has no effect.
type memEndpoint struct{ listener *memListener }

func (*memEndpoint) Close() error { return nil }

// A memListener is a queue of links to accept.
type memListener struct {
	nameless bool
	forget   func()
	mu       sync.Mutex
	change   *sync.Cond
	backlog  []*memLink
	closed   bool
}

func newMemListener() *memListener {
	l := &memListener{forget: func() {}}
	l.change = sync.NewCond(&l.mu)
	return l
}

func (l *memListener) connect() (link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, syscall.ECONNREFUSED
	}
	ours, theirs := memPair()
	l.backlog = append(l.backlog, theirs)
	l.change.Signal()
	return ours, nil
}

func (l *memListener) accept() (link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.backlog) == 0 && !l.closed {
		l.change.Wait()
	}
	if l.closed {
		return nil, io.EOF
	}
	next := l.backlog[0]
	l.backlog = l.backlog[1:]
	return next, nil
}

func (l *memListener) endpoint() (wire.Handle, error) {
	if !l.nameless {
		return wire.Handle{}, errNamed
	}
	return wire.Handle{Kind: wire.HandleEndpoint, Object: &memEndpoint{l}}, nil
}

func (l *memListener) close() error {
	l.forget()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, waiting := range l.backlog {
		waiting.close()
	}
	l.backlog = nil
	l.change.Broadcast()
	return nil
}
