package xpcpeer_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// A lent is a connection whose reader waits, so that callers receive for
// themselves, and its peer.
type lent struct {
	conn    *xpcpeer.Conn
	peer    raw
	handled chan struct{}
	result  chan error
}

func lend(t *testing.T) *lent {
	t.Helper()
	leavesNoFile(t)
	dir := t.TempDir()
	listener := bind(t, dir)
	l := &lent{handled: make(chan struct{}, 1), result: make(chan error, 1)}
	l.conn = xpcpeer.Dial(xpcpeer.Unix(dir, nil), service, xpcpeer.Config{Policy: yes,
		Events: xpcpeer.Events{Message: func(*xpcpeer.Conn, *xpcpeer.Message) { l.handled <- struct{}{} }}})
	t.Cleanup(func() { end(t, l.conn) })
	up := make(chan error, 1)
	go func() { up <- l.conn.Activate(patient()) }()
	l.peer = rawAccept(t, listener)
	t.Cleanup(l.peer.close)
	l.peer.send(t, welcome)
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	return l
}

// call begins a call and answers when the peer has it.
func (l *lent) call(t *testing.T, ctx context.Context) {
	t.Helper()
	go func() {
		d, err := l.conn.Call(ctx, wire.Dict{})
		d.Close()
		l.result <- err
	}()
	l.peer.read(t)
}

func (l *lent) handles(t *testing.T) {
	t.Helper()
	select {
	case <-l.handled:
	case <-time.After(patience):
		t.Fatal("a message is not handled")
	}
}

// Rule: a message that a caller finds in place of its reply is handled while the
// caller goes on waiting, every time.
func TestMessageAmidCall(t *testing.T) {
	l := lend(t)
	for n := range byte(20) {
		l.call(t, patient())
		l.peer.send(t, message)
		l.handles(t)
		l.peer.send(t, "\x83\x04"+string(n+1)+"\xa0")
		if err := <-l.result; err != nil {
			t.Fatal(err)
		}
	}
}

// Rule: what comes after a caller left finds its reader.
func TestMessageAfterCall(t *testing.T) {
	l := lend(t)
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		l.call(t, ctx)
		if err := <-l.result; !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
		l.peer.send(t, message)
		l.handles(t)
	}
}

// Rule: a lie, and an end, are found by a caller as they are by the reader.
func TestLieAmidCall(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		fds  []int
		want error
	}{
		"noise":                {"noise", many(3), wire.ErrMalformed},
		"another welcome":      {welcome, nil, wire.ErrMalformed},
		"a descriptor unnamed": {replyOne, many(1), wire.ErrMalformed},
		"an end":               {"", nil, xpcpeer.ErrInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			l := lend(t)
			l.call(t, patient())
			if c.data == "" {
				unix.Shutdown(int(l.peer), unix.SHUT_RDWR)
			} else {
				l.peer.send(t, c.data, c.fds...)
			}
			if err := <-l.result; !errors.Is(err, c.want) {
				t.Fatal(err)
			}
		})
	}
}

// Rule: Close ends a call whose caller receives for himself.
func TestCloseAmidCall(t *testing.T) {
	l := lend(t)
	l.call(t, patient())
	end(t, l.conn)
	if err := <-l.result; !errors.Is(err, xpcpeer.ErrInvalid) {
		t.Fatal(err)
	}
}

// Rule: calls at the same time get each its own reply, whoever received it.
func TestRepliesOfOthers(t *testing.T) {
	l := lend(t)
	const callers = 8
	results := make(chan int64, callers)
	for range callers {
		go func() {
			d, err := l.conn.Call(patient(), wire.Dict{})
			n, _ := wire.Get[int64](d, "n")
			if err != nil {
				n = -1
			}
			results <- n
		}()
	}
	for range callers {
		l.peer.read(t)
	}
	for id := byte(callers); id > 0; id-- {
		l.peer.send(t, "\x83\x04"+string(id)+"\xa1\x61n\xd9\xf7\x00"+string(id))
	}
	sum := int64(0)
	for range callers {
		sum += <-results
	}
	if sum != callers*(callers+1)/2 {
		t.Errorf("the numbers of %d replies make %d", callers, sum)
	}
}

// Rule: who has a socket of ours, too, and makes it non-blocking, changes nothing.
func TestSocketMadeNonBlocking(t *testing.T) {
	leavesNoFile(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ours)
	c, err := xpcpeer.FromFile(os.NewFile(uintptr(fds[0]), "end"), xpcpeer.Config{Policy: yes})
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, c)
	other, err := xpcpeer.FromFile(os.NewFile(uintptr(fds[1]), "end"), xpcpeer.Config{Policy: yes, Events: pids()})
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, other)
	if err := errors.Join(c.Activate(patient()), unix.SetNonblock(ours, true)); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := c.Call(patient(), wire.Dict{}); err != nil {
			t.Fatal(err)
		}
	}
}
