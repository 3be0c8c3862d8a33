package xpcpeer

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/linux"
)

// A socketLink is a connected SOCK_SEQPACKET socket: one packet, one dictionary.
//
// Who waits for it waits in the kernel and not in the runtime's poller, by way of
// which a packet takes more than twice as long. shutdown(2) is what wakes him.
type socketLink struct {
	file    *os.File // blocking; it is closed when nobody uses it any more
	raw     syscall.RawConn
	who     atomic.Pointer[Evidence] // nil: taken from the first packet
	hurried atomic.Bool
	watch   *watch
	data    []byte // of the packet being received
	control []byte
}

// newSocketLink takes over the descriptor. who is nil where the first packet
// names the peer.
func newSocketLink(fd int, who *Evidence) (*socketLink, error) {
	err := errors.Join(unix.SetNonblock(fd, false),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: soon.Microseconds()}))
	f := os.NewFile(uintptr(fd), "peer")
	raw, rerr := f.SyscallConn()
	w, werr := newWatch(fd)
	if err := errors.Join(err, rerr, werr); err != nil {
		f.Close()
		if w != nil {
			w.close()
		}
		return nil, err
	}
	l := &socketLink{file: f, raw: raw, watch: w, data: make([]byte, maxPacket+1), control: make([]byte, controlSpace)}
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

// close wakes who waits. What was written stays for the peer to read.
func (l *socketLink) close() {
	l.shutdown(unix.SHUT_RDWR)
	l.file.Close()
	l.watch.close()
	l.who.Load().close()
}

// hurry lets a waiting send fail; later ones try once. The peer's messages are
// refused from now on.
func (l *socketLink) hurry() {
	l.hurried.Store(true)
	l.shutdown(unix.SHUT_RD)
}

func (l *socketLink) shutdown(how int) {
	l.raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), how) })
}

func (l *socketLink) try(p parcel) (bool, error) {
	b := p.(*bundle)
	err := l.sendmsg(b, false)
	if errors.Is(err, unix.EAGAIN) {
		return false, nil
	}
	b.drop()
	return true, sendError(err)
}

func (l *socketLink) send(p parcel) error {
	b := p.(*bundle)
	defer b.drop()
	return sendError(l.sendmsg(b, true))
}

func (l *socketLink) sendmsg(b *bundle, wait bool) (err error) {
	rights := rightsOf(b)
	cerr := l.raw.Write(func(fd uintptr) bool {
		for {
			err = linux.SendNow(int(fd), b.data, rights)
			if err != unix.EAGAIN || !wait || !l.room(int(fd)) {
				return true
			}
		}
	})
	return errors.Join(cerr, err)
}

// room waits until there is some. False: we are in a hurry, or nobody will ever read.
func (l *socketLink) room(fd int) bool {
	if l.hurried.Load() {
		return false
	}
	has, err := linux.PollLong(fd, unix.POLLOUT|unix.POLLRDHUP)
	return err == nil && has&unix.POLLOUT != 0
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

func (l *socketLink) await() {
	l.raw.Control(func(uintptr) { l.watch.wait() })
}

func (l *socketLink) lend() {
	l.raw.Control(func(fd uintptr) { l.watch.look(int(fd), false) })
}

func (l *socketLink) giveBack(urgent bool) {
	l.raw.Control(func(fd uintptr) { l.watch.look(int(fd), true) })
	if urgent {
		l.watch.ring()
	}
}

func (l *socketLink) receive() (packet, error) { return l.packet(l.recvmsg()) }

func (l *socketLink) receiveSoon() (packet, error) { return l.packet(l.recvmsgSoon()) }

// packet reads what came. Whatever is wrong with it, its descriptors are closed or
// belong to the answer.
func (l *socketLink) packet(n int, c *control, flags int, err error) (packet, error) {
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

// recvmsg waits for a packet for as long as it takes.
func (l *socketLink) recvmsg() (int, *control, int, error) {
	for {
		n, c, flags, err := l.recvmsgSoon()
		if err != errNothing {
			return n, c, flags, err
		}
		l.await()
	}
}

// recvmsgSoon waits until SO_RCVTIMEO is over, which is errNothing.
func (l *socketLink) recvmsgSoon() (n int, c *control, flags int, err error) {
	cerr := l.raw.Read(func(fd uintptr) bool {
		var controlled int
		n, controlled, flags, err = receiveOne(int(fd), l.data, l.control)
		if err == nil {
			c = parseControl(l.control[:controlled])
		}
		return true
	})
	switch {
	case cerr == nil && err == nil:
		return n, c, flags, nil
	case cerr == nil && err == unix.EAGAIN:
		return 0, nil, 0, errNothing
	}
	return 0, nil, 0, errPeerGone
}

// receiveOne is recvmsg(2). ECONNRESET says that the peer left something unread; it
// comes once, before what the peer wrote and the end.
func receiveOne(fd int, data, control []byte) (n, controlled, flags int, err error) {
	for resets := 0; ; {
		n, controlled, flags, err = linux.Receive(fd, data, control)
		switch {
		case err == unix.ECONNRESET && resets == 0:
			resets++
		case err != unix.EINTR:
			return n, controlled, flags, err
		}
	}
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
