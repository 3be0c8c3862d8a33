//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"portward/internal/hub"
	"portward/internal/viewer"
)

const token = "a-token-of-the-benchmark"

// A stage is what netchild shows with: a hub and its viewer over TLS.
type stage struct {
	hub  *hub.Hub
	addr string
}

// play serves a stage for as long as the process lives. around may put something
// before the viewer's handler.
func play(ctx context.Context, dir string, l net.Listener, around func(http.Handler) http.Handler) (*stage, error) {
	cert, _, err := viewer.LoadOrCreateIdentity(dir)
	if err != nil {
		return nil, err
	}
	h := hub.New(hub.Config{})
	go h.Run(ctx)
	show := viewer.New(viewer.Config{Hub: h, Token: token, Life: 1, Started: time.Now(), Hosts: []string{l.Addr().String()}})
	go serveTLS(l, cert, around(show))
	return &stage{h, l.Addr().String()}, nil
}

func serveTLS(l net.Listener, cert tls.Certificate, h http.Handler) {
	srv := &http.Server{
		Handler:   h,
		ErrorLog:  log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}},
	}
	srv.ServeTLS(l, "", "")
}
