package xpcpeer

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A socketLink is a connected SOCK_SEQPACKET socket: one packet, one dictionary.
type socketLink struct {
	file    *os.File
	raw     syscall.RawConn
	who     atomic.Pointer[Evidence] // nil: taken from the first packet
	data    []byte                   // of the packet being received
	control []byte
}

// newSocketLink takes over the descriptor. who is nil where the first packet
// names the peer.
func newSocketLink(fd int, who *Evidence) (*socketLink, error) {
	f := os.NewFile(uintptr(fd), "peer")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	l := &socketLink{file: f, raw: raw, data: make([]byte, maxPacket+1), control: make([]byte, controlSpace)}
	l.who.Store(who)
	return l, nil
}

// connectTo connects a socket that asks for the sender's credentials. A full
// backlog answers EAGAIN to a non-blocking connect(2) and cannot be polled for.
func connectTo(ctx context.Context, path string) (link, error) {
	s, err := newSocket()
	if err != nil {
		return nil, err
	}
	err = wantCredentials(s)
	for wait := time.Millisecond; err == nil; wait = min(2*wait, 100*time.Millisecond) {
		err = unix.Connect(s, &unix.SockaddrUnix{Name: path})
		if err == nil {
			return newSocketLink(s, nil)
		}
		if err != unix.EAGAIN && err != unix.EINTR {
			err = os.NewSyscallError("connect", err)
			break
		}
		err = rest(ctx, wait)
	}
	unix.Close(s)
	return nil, err
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *socketLink) evidence() *Evidence { return l.who.Load() }

func (l *socketLink) close() {
	l.file.Close()
	l.who.Load().close()
}

// hurry lets a waiting send fail; later ones try once.
func (l *socketLink) hurry() { l.file.SetWriteDeadline(time.Unix(1, 0)) }

func (l *socketLink) send(p parcel) error {
	b := p.(*bundle)
	defer b.drop()
	rights := rightsOf(b)
	var err error
	try := func(fd uintptr) bool {
		_, err = unix.SendmsgN(int(fd), b.data, rights, nil, unix.MSG_NOSIGNAL)
		return err != unix.EAGAIN
	}
	cerr := l.raw.Write(try)
	if errors.Is(cerr, os.ErrDeadlineExceeded) { // in a hurry: once more, without waiting
		cerr = l.raw.Control(func(fd uintptr) { try(fd) })
	}
	return sendError(errors.Join(cerr, err))
}

// sendError tells a peer that is gone, or does not read when we are in a
// hurry, from our own trouble.
func sendError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EAGAIN),
		errors.Is(err, os.ErrClosed):
		return errPeerGone
	}
	return os.NewSyscallError("sendmsg", err)
}

// receive takes one packet in. Whatever is wrong with it, its descriptors are
// closed or belong to the answer.
func (l *socketLink) receive() (packet, error) {
	n, c, flags, err := l.recvmsg()
	if err != nil {
		return packet{}, err
	}
	if n == 0 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		c.close()
		if n == 0 {
			return packet{}, errPeerGone
		}
		return packet{}, malformed("a packet that is too long or brings too much")
	}
	if err := l.identify(c); err != nil {
		c.close()
		return packet{}, err
	}
	objects := c.takeFiles()
	p, err := decode(l.data[:n], objects)
	if err != nil {
		closeAll(objects)
	}
	return p, err
}

// recvmsg waits for a packet. ECONNRESET says that the peer left something
// unread; it comes once, before what the peer wrote and the end.
func (l *socketLink) recvmsg() (n int, c *control, flags int, err error) {
	resets := 0
	cerr := l.raw.Read(func(fd uintptr) bool {
		var oob int
		n, oob, flags, _, err = unix.Recvmsg(int(fd), l.data, l.control, unix.MSG_CMSG_CLOEXEC)
		for err == unix.EINTR || err == unix.ECONNRESET && resets == 0 {
			if err == unix.ECONNRESET {
				resets++
			}
			n, oob, flags, _, err = unix.Recvmsg(int(fd), l.data, l.control, unix.MSG_CMSG_CLOEXEC)
		}
		if err == nil {
			c = parseControl(l.control[:oob])
		}
		return err != unix.EAGAIN
	})
	if cerr != nil || err != nil {
		return 0, nil, 0, errPeerGone
	}
	return n, c, flags, nil
}

// identify takes the evidence from the first packet, then stops asking for it.
func (l *socketLink) identify(c *control) error {
	if l.who.Load() != nil {
		return nil
	}
	if c.sender == nil {
		return malformed("a packet without credentials")
	}
	return l.raw.Control(func(fd uintptr) {
		l.who.Store(senderEvidence(int(fd), c.sender, c.takePidfd()))
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSPIDFD, 0)
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 0)
	})
}

// wantCredentials makes packets that s receives name their sender (unix(7)).
// SO_PASSPIDFD is Linux 6.5; without it the evidence is the credentials alone.
func wantCredentials(s int) error {
	unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_PASSPIDFD, 1)
	return os.NewSyscallError("setsockopt SO_PASSCRED", unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
}
