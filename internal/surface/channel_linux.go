package surface

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is a channel over SOCK_SEQPACKET (unix(7)), one message to a
// descriptor. Every call says MSG_DONTWAIT itself: O_NONBLOCK belongs to the
// open file description, and the peer who made the pair may have kept another
// descriptor of our end.
type socket struct {
	file *os.File
	raw  syscall.RawConn
}

func makeChannel() (channel, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	peer := os.NewFile(uintptr(fds[1]), "frames")
	s, err := newSocket(fds[0])
	if err != nil {
		peer.Close()
		return nil, nil, err
	}
	return s, peer, nil
}

func adoptChannel(f *os.File) (channel, error) {
	fd, err := duplicate(f)
	if err != nil {
		return nil, err
	}
	if err := checkSocket(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return newSocket(fd)
}

// checkSocket refuses everything on which a message could be half of one.
func checkSocket(fd int) error {
	for opt, want := range map[int]int{unix.SO_DOMAIN: unix.AF_UNIX, unix.SO_TYPE: unix.SOCK_SEQPACKET, unix.SO_ACCEPTCONN: 0} {
		if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt); err != nil || got != want {
			return fmt.Errorf("%w: frame channel is no connected seqpacket socket", ErrHostile)
		}
	}
	return nil
}

// newSocket owns fd, which is in non-blocking mode so that the runtime's
// poller takes it.
func newSocket(fd int) (*socket, error) {
	f := os.NewFile(uintptr(fd), "frames")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &socket{f, raw}, nil
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

func (s *socket) close() { s.file.Close() }

func (s *socket) sendFrame(d descriptor) error   { return s.send(d) }
func (s *socket) sendRelease(d descriptor) error { return s.send(d) }

func (s *socket) recvFrame(ctx context.Context) (descriptor, error) {
	if err := ctx.Err(); err != nil {
		return descriptor{}, err
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		s.file.SetReadDeadline(time.Unix(1, 0))
	})
	d, err := s.recv(decode)
	if !stop() {
		<-woken
		s.file.SetReadDeadline(time.Time{})
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return descriptor{}, ctx.Err()
	}
	return d, err
}

func (s *socket) recvRelease() (descriptor, error) { return s.recv(decodeRelease) }

func (s *socket) send(d descriptor) error {
	b := d.encode()
	var sent error
	err := s.raw.Write(func(fd uintptr) bool {
		sent = ignoringEINTR(func() error {
			return unix.Sendto(int(fd), b[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		})
		return true
	})
	switch {
	case err != nil:
		return closedOr(err)
	case sent == nil:
		return nil
	case errors.Is(sent, unix.EAGAIN), errors.Is(sent, unix.ENOBUFS):
		return fmt.Errorf("%w: does not read its messages", ErrHostile)
	}
	return fmt.Errorf("%w: %w", ErrLost, os.NewSyscallError("send", sent))
}

// recv waits for one message. Descriptors that a peer attaches to it are
// dropped by the kernel, because there is no room for them.
func (s *socket) recv(read func([]byte) (descriptor, error)) (descriptor, error) {
	var b [descriptorSize]byte
	var n, flags int
	var got error
	err := s.raw.Read(func(fd uintptr) bool {
		got = ignoringEINTR(func() (err error) {
			n, _, flags, _, err = unix.Recvmsg(int(fd), b[:], nil, unix.MSG_DONTWAIT)
			return err
		})
		return !errors.Is(got, unix.EAGAIN)
	})
	switch {
	case err != nil:
		return descriptor{}, closedOr(err)
	case got != nil:
		return descriptor{}, fmt.Errorf("%w: %w", ErrLost, os.NewSyscallError("recvmsg", got))
	case n == 0: // the end, or a message of no bytes, which is meant to look like it
		return descriptor{}, ErrLost
	case flags&unix.MSG_TRUNC != 0:
		return descriptor{}, fmt.Errorf("%w: descriptor of more than %d bytes", ErrHostile, descriptorSize)
	}
	return read(b[:n])
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
