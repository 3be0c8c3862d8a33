//go:build darwin || standin

package xpcpeer

import (
	"context"
	"io/fs"
	"sync"

	"portward/internal/wire"
)

// ByEndpoints answers the XPC transport with names that only this process knows:
// each is an anonymous listener's endpoint. launchd gives no names to tests.
func ByEndpoints(requirement string, log func(string, ...any)) Transport {
	return &byEndpoints{xpcTransport: xpcTransport{XPCOptions{Log: log}}, requirement: requirement, names: make(map[string]wire.Handle)}
}

type byEndpoints struct {
	xpcTransport
	requirement string
	mu          sync.Mutex
	names       map[string]wire.Handle
}

func (t *byEndpoints) listen(name, _ string) (acceptor, error) {
	a, err := t.xpcTransport.anonymous(t.requirement)
	if err != nil {
		return nil, err
	}
	ep, err := a.endpoint()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names[name] = ep
	return byName{a, func() { t.forget(name) }}, nil
}

func (t *byEndpoints) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names[name].Close()
	delete(t.names, name)
}

func (t *byEndpoints) dial(ctx context.Context, name, _ string) (link, error) {
	t.mu.Lock()
	ep, ok := t.names[name]
	t.mu.Unlock()
	if !ok {
		return nil, fs.ErrNotExist
	}
	return t.connect(ctx, ep, "")
}

func (t *byEndpoints) anonymous(string) (acceptor, error) {
	return t.xpcTransport.anonymous(t.requirement)
}

func (t *byEndpoints) connect(ctx context.Context, ep wire.Handle, _ string) (link, error) {
	return t.xpcTransport.connect(ctx, ep, t.requirement)
}

// byName is an anonymous listener under a name.
type byName struct {
	acceptor
	forget func()
}

func (byName) endpoint() (wire.Handle, error) { return wire.Handle{}, errNamed }

func (n byName) close() error {
	n.forget()
	return n.acceptor.close()
}
