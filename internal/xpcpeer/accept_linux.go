package xpcpeer

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"portward/internal/wire"
)

// A socketListener is a listening SOCK_SEQPACKET socket.
type socketListener struct {
	file *os.File
	raw  syscall.RawConn
	path string   // to be removed at close; empty: not ours
	node *os.File // the inode of a nameless one
}

// newSocketListener takes over f.
func newSocketListener(f *os.File) (*socketListener, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &socketListener{file: f, raw: raw}, nil
}

func (l *socketListener) accept() (link, error) {
	s, err := l.accept4()
	if err != nil {
		return nil, err
	}
	who, err := peerEvidence(s)
	if err != nil {
		unix.Close(s)
		return nil, err
	}
	k, err := newSocketLink(s, who)
	if err != nil {
		who.close()
		return nil, err
	}
	return k, nil
}

func (l *socketListener) accept4() (s int, err error) {
	cerr := l.raw.Read(func(fd uintptr) bool {
		s, _, err = unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return err != unix.EAGAIN
	})
	if cerr != nil {
		return -1, io.EOF
	}
	return s, os.NewSyscallError("accept", err)
}

func (l *socketListener) endpoint() (wire.Handle, error) {
	if l.node == nil {
		return wire.Handle{}, errNamed
	}
	f, err := dupFile(l.node)
	return wire.Handle{Kind: wire.HandleEndpoint, Object: f}, err
}

// close removes the name first: a successor may take it once we are gone.
func (l *socketListener) close() error {
	if l.path != "" {
		os.Remove(l.path)
	}
	if l.node != nil {
		l.node.Close()
	}
	return l.file.Close()
}
