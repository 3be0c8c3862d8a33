//go:build darwin || standin

package xpcpeer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"portward/internal/macos"
	"portward/internal/wire"
)

// XPCOptions say how the XPC transport finds services.
type XPCOptions struct {
	Privileged bool                 // Dial looks names up in root's namespace: for the names of daemons, never of agents
	Log        func(string, ...any) // peers that never became connections, and why; may be nil
}

// XPC answers the transport of libxpc's connections (xpc/connection.h, macOS
// 10.12; requirements are macOS 12). Listen serves a name of this process's own
// launchd job, which starts the job when somebody dials it.
//
// Every connection asks the system for Config.Requirement: a listener, so that
// others do not get as far as a connection, each peer it accepts, since
// requirements are not inherited, and each connection that dials. What libxpc
// has not checked is not looked at.
func XPC(o XPCOptions) Transport {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	return xpcTransport{o}
}

type xpcTransport struct{ o XPCOptions }

var (
	errNoRequirement = fmt.Errorf("%w: no requirement of peers", ErrRefused)
	errImpostor      = fmt.Errorf("%w: the peer does not satisfy the requirement", ErrRefused)
)

func (t xpcTransport) listen(name, requirement string) (acceptor, error) {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return nil, fmt.Errorf("not a service name: %q", name)
	}
	return newXPCAcceptor(t, name, requirement)
}

func (t xpcTransport) anonymous(requirement string) (acceptor, error) {
	return newXPCAcceptor(t, "", requirement)
}

func (t xpcTransport) dial(_ context.Context, name, requirement string) (link, error) {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return nil, fmt.Errorf("not a service name: %q", name)
	}
	var flags uint64
	if t.o.Privileged {
		flags = macos.XPCPrivileged
	}
	queue := macos.DispatchQueueCreate("portward.dial")
	return dialXPC(newXPCLink(macos.XPCConnectionCreateMachService(name, queue, flags), queue, name), requirement)
}

func (t xpcTransport) connect(_ context.Context, ep wire.Handle, requirement string) (link, error) {
	endpoint, err := endpointRef(ep)
	if err != nil {
		return nil, err
	}
	defer macos.XPCRelease(endpoint)
	queue := macos.DispatchQueueCreate("portward.endpoint")
	conn := macos.XPCConnectionCreateFromEndpoint(endpoint)
	macos.XPCConnectionSetTargetQueue(conn, queue)
	return dialXPC(newXPCLink(conn, queue, ""), requirement)
}

// dialXPC opens a client's link and says hello. That there is no such service is
// found out by the first receive.
func dialXPC(l *xpcLink, requirement string) (link, error) {
	if err := l.open(requirement); err != nil {
		return nil, err
	}
	l.sendHello()
	return l, nil
}

func (t xpcTransport) retain(ep wire.Handle) (wire.Handle, error) {
	ref, err := endpointRef(ep)
	if err != nil {
		return wire.Handle{}, err
	}
	return wire.Handle{Kind: wire.HandleEndpoint, Object: macos.NewObject(ref)}, nil
}

// endpointRef is a reference of the caller's own.
func endpointRef(ep wire.Handle) (macos.Ref, error) {
	ref, ok := retained(ep)
	if ok && ep.Kind == wire.HandleEndpoint && macos.XPCTypeOf(ref) == macos.XPCTypeEndpoint {
		return ref, nil
	}
	macos.XPCRelease(ref)
	return 0, malformed("a %v that is a %T is no endpoint", ep.Kind, ep.Object)
}

func (t xpcTransport) pack(p packet) (parcel, error) { return packXPC(p) }

// setRequirement is the first thing that is done to a connection.
func setRequirement(conn macos.Ref, requirement string) error {
	if requirement == "" {
		return errNoRequirement
	}
	if strings.IndexByte(requirement, 0) >= 0 {
		return errors.New("a requirement with a NUL")
	}
	return macos.XPCConnectionSetPeerCodeSigningRequirement(conn, requirement)
}
