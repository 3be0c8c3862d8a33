package jobs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// A listener is a socket that the engine holds above all lives of a job. It
// never accepts on it and never changes its flags; the open file description,
// and with it O_NONBLOCK, is shared with whatever life inherited it.
type listener struct {
	name string // what LISTEN_FDNAMES calls it
	file *os.File
	fd   int    // file's, for the poller
	path string // to be unlinked, "" for TCP
	addr string // host:port, "" for a service
}

// listen binds all that spec declares, or nothing.
func (e *Embedded) listen(t Target, spec *Spec) (held []listener, err error) {
	defer func() {
		if err != nil {
			closeListeners(held)
			held = nil
		}
	}()
	for _, name := range spec.MachServices {
		l, err := e.listenService(name)
		if err != nil {
			return held, inFile(spec.File, atKey("MachServices."+name, err))
		}
		held = append(held, l)
	}
	for _, s := range spec.Sockets {
		l, err := e.listenSocket(t, s)
		if err != nil {
			return held, inFile(spec.File, atKey("Sockets."+s.Key, err))
		}
		held = append(held, l)
	}
	return held, nil
}

func (e *Embedded) listenService(name string) (listener, error) {
	if e.opts.BindService == nil {
		return listener{}, errors.ErrUnsupported
	}
	f, err := e.opts.BindService(name)
	if err != nil {
		return listener{}, err
	}
	return newListener(listener{name: name, file: f, path: filepath.Join(e.opts.RunDir, name)})
}

func (e *Embedded) listenSocket(t Target, s Socket) (listener, error) {
	addr := net.JoinHostPort(s.NodeName, s.ServiceName)
	if e.opts.SocketAddr != nil {
		if other := e.opts.SocketAddr(t, s.Key, addr); other != "" {
			addr = other
		}
	}
	network := map[string]string{"": "tcp", "IPv4": "tcp4", "IPv6": "tcp6"}[s.Family]
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), network, addr)
	if err != nil {
		return listener{}, err
	}
	defer ln.Close()
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return listener{}, fmt.Errorf("%s: not TCP", addr)
	}
	f, err := tcp.File()
	if err != nil {
		return listener{}, err
	}
	return newListener(listener{name: s.Key, file: f, addr: ln.Addr().String()})
}

func newListener(l listener) (listener, error) {
	var err error
	if l.fd, err = descriptor(l.file); err == nil {
		err = checkListening(l.fd)
	}
	if err != nil {
		closeListeners([]listener{l})
	}
	return l, err
}

func checkListening(fd int) error {
	on, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err == nil && on == 0 {
		err = errors.New("not a listening socket")
	}
	return err
}

func closeListeners(held []listener) {
	for _, l := range held {
		l.file.Close()
		if l.path != "" {
			os.Remove(l.path)
		}
	}
}
