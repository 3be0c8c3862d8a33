package xpcpeer

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"portward/internal/wire"
)

// sockets is the Unix transport.
type sockets struct{ o UnixOptions }

func unixTransport(o UnixOptions) Transport { return sockets{o} }

// listen serves the inherited socket of that name, or binds one.
func (s sockets) listen(name, _ string) (acceptor, error) {
	if f, ok := s.o.Inherited[name]; ok {
		own, err := dupListening(f)
		if err != nil {
			return nil, err
		}
		return newSocketListener(own)
	}
	f, err := bindUnix(s.o.Dir, name, 0o600)
	if err != nil {
		return nil, err
	}
	l, err := newSocketListener(f)
	if err == nil {
		l.path = socketPath(s.o.Dir, name)
	}
	return l, err
}

func (s sockets) anonymous(string) (acceptor, error) {
	f, node, err := bindNameless(s.o.Private)
	if err != nil {
		return nil, err
	}
	l, err := newSocketListener(f)
	if err != nil {
		node.Close()
		return nil, err
	}
	l.node = node
	return l, nil
}

// dial connects to dir/name through a descriptor of dir.
func (s sockets) dial(ctx context.Context, name, _ string) (l link, err error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	dir, err := openDir(s.o.Dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	err = withFD(dir, func(fd int) (err error) {
		l, err = connectTo(ctx, procPath(fd, name))
		return err
	})
	return l, err
}

// connect connects to the socket that an O_PATH descriptor refers to. The
// kernel follows /proc/self/fd/N to the inode itself; no directory is searched.
func (s sockets) connect(ctx context.Context, ep wire.Handle, _ string) (l link, err error) {
	f, ok := ep.File()
	if !ok {
		return nil, malformed("an endpoint that is no descriptor")
	}
	err = withFD(f, func(fd int) (err error) {
		l, err = connectTo(ctx, procPath(fd, ""))
		return err
	})
	return l, err
}

func (s sockets) retain(ep wire.Handle) (wire.Handle, error) {
	f, ok := ep.File()
	if !ok || ep.Kind != wire.HandleEndpoint {
		return wire.Handle{}, malformed("a %v that is a %T is no endpoint", ep.Kind, ep.Object)
	}
	if err := checkEndpoint(f); err != nil {
		return wire.Handle{}, err
	}
	own, err := dupFile(f)
	return wire.Handle{Kind: ep.Kind, Object: own}, err
}

// checkEndpoint refuses what cannot be a bound socket.
func checkEndpoint(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return malformed("an endpoint that is no socket")
	}
	return nil
}

func (s sockets) pack(p packet) (parcel, error) { return packBundle(p, dupRaw) }

// dupRaw duplicates a handle for the way; the runtime's poller need not know it.
func dupRaw(h wire.Handle) (wire.Handle, error) {
	f, ok := h.File()
	if !ok {
		return wire.Handle{}, malformed("a %v that is a %T", h.Kind, h.Object)
	}
	fd, err := dupFD(f)
	return wire.Handle{Kind: h.Kind, Object: rawFD(fd)}, err
}

// A rawFD is a descriptor we own.
type rawFD int

func (fd rawFD) Close() error { return unix.Close(int(fd)) }

// adopt makes a link of an inherited socket and closes f.
func adopt(f *os.File) (Transport, link, error) {
	defer f.Close()
	own, err := dupSocket(f)
	if err != nil {
		return nil, nil, err
	}
	if err := wantCredentials(own); err != nil {
		unix.Close(own)
		return nil, nil, err
	}
	l, err := newSocketLink(own, nil)
	return sockets{}, l, err
}
