package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"portward/internal/hub"
	"portward/internal/program"
	"portward/internal/surface"
	"portward/internal/viewer"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// A netchild is one life of the networking process.
type netchild struct {
	p         *program.Program
	bundle    program.Identifier
	log       func(format string, args ...any)
	transport xpcpeer.Transport
	hub       *hub.Hub
	logins    *logins
	leases    *leases
	started   time.Time
	heart     heart
	life      atomic.Uint64 // the number of this process's life; 0: nobody told it yet

	supervisor *xpcpeer.Conn

	mu       sync.Mutex
	agents   map[*xpcpeer.Conn]*agent
	accounts map[string]*surface.Account // by login; there are as many as the supervisor ever told of
}

// openViewer serves the page on the port that the engine holds. The returned
// function stops it.
func (n *netchild) openViewer(ctx context.Context, prepared *preparation) (shut func(), err error) {
	f, err := n.p.Socket(launchd.ViewerSocket)
	if err != nil {
		return nil, fmt.Errorf("the viewer's port: %w", err)
	}
	if f == nil {
		return nil, fmt.Errorf("the viewer's port (%q) was not inherited", launchd.ViewerSocket)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the viewer's port: %w", err)
	}
	<-prepared.done
	if prepared.err != nil {
		return nil, prepared.err
	}
	hosts, err := hostsOf(l.Addr())
	if err != nil {
		return nil, err
	}
	srv := &http.Server{
		Handler: viewer.New(viewer.Config{
			Hub: n.hub, Token: prepared.token, Life: n.life.Load(), Started: n.started, Log: n.log,
			Hosts: hosts,
		}),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{prepared.cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}},
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       15 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() {
		if err := srv.ServeTLS(bounded(l, maxConnections), "", ""); !errors.Is(err, http.ErrServerClosed) {
			n.log("viewer: %v", err)
		}
	}()
	return func() { srv.Close() }, nil
}

// hostsOf answers the names under which a browser may ask for the page: this
// machine's own, and where the port is open to the network, the addresses and
// the name it has there.
func hostsOf(a net.Addr) ([]string, error) {
	addr, ok := a.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("the viewer's port is no TCP port: %v", a)
	}
	names := []string{addr.IP.String(), "localhost", "127.0.0.1", "::1"}
	if addr.IP.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			names = append(names, name)
		}
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				names = append(names, n.IP.String())
			}
		}
	}
	for i, n := range names {
		names[i] = net.JoinHostPort(n, strconv.Itoa(addr.Port))
	}
	return names, nil
}

// goodbye tells everyone that this life ends of its own accord, and waits
// until they were told.
func (n *netchild) goodbye(reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin/2)
	defer cancel()
	m := wire.Goodbye{Reason: reason}.Dict()
	n.mu.Lock()
	conns := []*xpcpeer.Conn{n.supervisor}
	n.supervisor = nil // its end is no reason to check in again
	for c := range n.agents {
		conns = append(conns, c)
	}
	n.mu.Unlock()
	for _, c := range conns {
		if c.Send(ctx, m) == nil {
			c.Close() // after the message
		}
	}
	for _, c := range conns {
		select {
		case <-c.Done():
		case <-ctx.Done():
		}
	}
}
