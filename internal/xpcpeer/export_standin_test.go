//go:build standin && !darwin

package xpcpeer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"portward/internal/macos"
	"portward/internal/wire"
)

// Anybody is a requirement that the stand-in finds satisfied by who has no identity.
const Anybody = `identifier "anybody"`

var namespaces atomic.Int64

// Standin answers the XPC transport with what a test wants of it: a namespace of
// its own, a requirement where the test has none, and names that end with their
// listener, as launchd's end with the job.
func Standin(log func(string, ...any)) Transport {
	return standin{XPC(XPCOptions{Log: log}).(xpcTransport), fmt.Sprintf("space%d.", namespaces.Add(1)), new(sync.Map)}
}

type standin struct {
	xpcTransport
	space string
	gone  *sync.Map // names whose listener was closed
}

func orAnybody(requirement string) string {
	if requirement == "" {
		return Anybody
	}
	return requirement
}

func (s standin) listen(name, requirement string) (acceptor, error) {
	s.gone.Delete(name)
	a, err := s.xpcTransport.listen(s.space+name, orAnybody(requirement))
	return named{a, func() { s.gone.Store(name, true) }}, err
}

func (s standin) anonymous(requirement string) (acceptor, error) {
	return s.xpcTransport.anonymous(orAnybody(requirement))
}

func (s standin) dial(ctx context.Context, name, requirement string) (link, error) {
	if _, gone := s.gone.Load(name); gone {
		name = "no " + name // which libxpc does not know
	}
	return s.xpcTransport.dial(ctx, s.space+name, orAnybody(requirement))
}

func (s standin) connect(ctx context.Context, ep wire.Handle, requirement string) (link, error) {
	return s.xpcTransport.connect(ctx, ep, orAnybody(requirement))
}

// ServiceName is what libxpc knows a service of a Standin by.
func ServiceName(t Transport, name string) string { return t.(standin).space + name }

// Privileged is t for clients of daemons.
func Privileged(t Transport) Transport {
	s := t.(standin)
	s.o.Privileged = true
	return s
}

// Native is the connection of c's present link, borrowed.
func Native(c *Conn) macos.Ref {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link.(*xpcLink)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// NativeListener is the listener's connection, borrowed.
func NativeListener(l *Listener) macos.Ref {
	a, ok := l.acceptor.(*xpcAcceptor)
	if !ok {
		a = l.acceptor.(named).acceptor.(*xpcAcceptor)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conn
}

// Behind is how many messages wait for c's reader, and whether more may come.
func Behind(c *Conn) (n int, suspended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link.(*xpcLink)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.in), l.suspended
}

// EndpointRef is a reference of the caller's own to an endpoint.
func EndpointRef(ep wire.Handle) (macos.Ref, error) { return endpointRef(ep) }

// named is a listener whose job goes when it is closed.
type named struct {
	acceptor
	forget func()
}

func (n named) close() error {
	n.forget()
	return n.acceptor.close()
}
