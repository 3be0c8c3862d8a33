//go:build linux || darwin

package surface

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A socket is one end of a connected pair of unix(7), in the runtime's poller.
// Every call says itself that it does not wait: O_NONBLOCK belongs to the open
// file description, and the peer who made the pair may have kept another
// descriptor of our end.
type socket struct {
	file *os.File
	raw  syscall.RawConn
}

// newSocket owns fd, which is in non-blocking mode so that the runtime's
// poller takes it.
func newSocket(fd int) (socket, error) {
	f := os.NewFile(uintptr(fd), "frames")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return socket{}, err
	}
	return socket{f, raw}, nil
}

// socketPair makes our end, and the peer's as a descriptor to be sent.
func socketPair(kind int) (socket, *os.File, error) {
	fds, err := pairCloexec(kind)
	if err != nil {
		return socket{}, nil, os.NewSyscallError("socketpair", err)
	}
	peer := os.NewFile(uintptr(fds[1]), "frames")
	s, err := newSocket(fds[0])
	if err != nil {
		peer.Close()
		return socket{}, nil, err
	}
	return s, peer, nil
}

// adoptSocket is a second descriptor of f, if that is a connected socket of the
// kind.
func adoptSocket(f *os.File, kind int) (socket, error) {
	fd, err := duplicate(f)
	if err != nil {
		return socket{}, err
	}
	if err := errors.Join(checkSocket(fd, kind), os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))); err != nil {
		unix.Close(fd)
		return socket{}, err
	}
	return newSocket(fd)
}

// checkSocket refuses everything on which a descriptor could not arrive whole.
func checkSocket(fd, kind int) error {
	for opt, want := range map[int]int{unix.SO_TYPE: kind, unix.SO_ACCEPTCONN: 0} {
		if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt); err != nil || (got != want) {
			return fmt.Errorf("%w: frame channel is no connected socket of its kind", ErrHostile)
		}
	}
	if name, err := unix.Getsockname(fd); err != nil || !isUnix(name) {
		return fmt.Errorf("%w: frame channel leads elsewhere", ErrHostile)
	}
	return nil
}

func isUnix(name unix.Sockaddr) bool {
	_, ok := name.(*unix.SockaddrUnix)
	return ok
}

func duplicate(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, err
	}
	return fd, os.NewSyscallError("fcntl", dupErr)
}

func (s socket) close() { s.file.Close() }

// read waits for something and answers no more than fits b. Descriptors that a
// peer attaches to it are dropped by the kernel, because there is no room for
// them.
func (s socket) read(b []byte) (n, flags int, err error) {
	var got error
	err = s.raw.Read(func(fd uintptr) bool {
		got = ignoringEINTR(func() (err error) {
			n, _, flags, _, err = unix.Recvmsg(int(fd), b, nil, unix.MSG_DONTWAIT)
			return err
		})
		return !errors.Is(got, unix.EAGAIN)
	})
	switch {
	case err != nil:
		return 0, 0, closedOr(err)
	case got != nil:
		return 0, 0, fmt.Errorf("%w: %w", ErrLost, os.NewSyscallError("recvmsg", got))
	}
	return n, flags, nil
}

func closedOr(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return ErrClosed
	}
	return err
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
