package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"portward/internal/bundle"
	"portward/internal/hub"
	"portward/internal/program"
	"portward/internal/viewer"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// A netchild is one life of the networking process.
type netchild struct {
	p         *program.Program
	seal      *bundle.Seal
	log       func(format string, args ...any)
	transport xpcpeer.Transport
	hub       *hub.Hub
	logins    *logins
	started   time.Time
	heart     heart

	supervisor *xpcpeer.Conn

	mu     sync.Mutex
	agents map[*xpcpeer.Conn]*agent
}

// openViewer serves the page on the port that the engine holds. The returned
// function stops it.
func (n *netchild) openViewer(ctx context.Context) (shut func(), err error) {
	f := n.p.Files[launchd.ViewerSocket]
	if f == nil {
		return nil, fmt.Errorf("the viewer's port (%q) was not inherited", launchd.ViewerSocket)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the viewer's port: %w", err)
	}
	cert, token, err := viewer.LoadOrCreateIdentity(filepath.Join(n.p.Root, "state", "netchild"))
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, err
	}
	srv := &http.Server{
		Handler: viewer.New(viewer.Config{
			Hub: n.hub, Token: token, Life: n.p.Life, Started: n.started, Log: n.log,
			Hosts: []string{l.Addr().String(), net.JoinHostPort("localhost", port), net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)},
		}),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}},
		ReadHeaderTimeout: 5 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() {
		if err := srv.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			n.log("viewer: %v", err)
		}
	}()
	return func() { srv.Close() }, nil
}

// goodbye tells everyone that this life ends of its own accord, and waits
// until they were told.
func (n *netchild) goodbye(reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin/2)
	defer cancel()
	m := wire.Goodbye{Reason: reason}.Dict()
	n.mu.Lock()
	conns := []*xpcpeer.Conn{n.supervisor}
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
