package main

import (
	"net"
	"sync"
)

// maxConnections is how many viewers' connections there are at once, proven or
// not; more wait in the kernel's queue. It keeps descriptors for agents.
const maxConnections = 256

// bounded accepts from l while fewer than n of its connections are open.
func bounded(l net.Listener, n int) net.Listener {
	return &boundedListener{l, make(chan struct{}, n), make(chan struct{}), sync.Once{}}
}

type boundedListener struct {
	net.Listener
	open   chan struct{} // filled by open connections
	closed chan struct{}
	once   sync.Once
}

func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &boundedConn{Conn: c, done: func() { <-l.open }}, nil
}

func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	once sync.Once
	done func()
}

func (c *boundedConn) Close() error {
	defer c.once.Do(c.done)
	return c.Conn.Close()
}
