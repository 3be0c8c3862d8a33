package xpcpeer_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// A raw peer speaks the protocol by hand.
type raw int

func rawDial(t *testing.T, dir string) raw {
	t.Helper()
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(s, &unix.SockaddrUnix{Name: filepath.Join(dir, service)})
	}
	if err != nil {
		t.Fatal(err)
	}
	return raw(s)
}

func (r raw) send(t *testing.T, data string, fds ...int) {
	t.Helper()
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if _, err := unix.SendmsgN(int(r), []byte(data), rights, nil, 0); err != nil {
		t.Fatal(err)
	}
}

func (r raw) read(t *testing.T) string {
	t.Helper()
	b := make([]byte, 1<<17)
	n, err := unix.Read(int(r), b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func (r raw) close() { unix.Close(int(r)) }

func many(n int) []int {
	fds := make([]int, n)
	for i := range fds {
		fds[i] = int(os.Stdin.Fd())
	}
	return fds
}

const (
	welcome  = "\x83\x01\x01\xa0"
	message  = "\x83\x02\x00\xa0"
	withFD   = "\x83\x02\x00\xa1\x61k\xd9\xf7\x02\x00"
	fdTwice  = "\x83\x02\x00\xa2\x61k\xd9\xf7\x02\x00\x61l\xd9\xf7\x02\x00"
	callOne  = "\x83\x03\x01\xa0"
	replyOne = "\x83\x04\x01\xa0"
)

// Rule: a packet that breaks the rules ends the connection it came by, costs no
// descriptor, and nobody else notices.
func TestHostileClient(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	invalid := make(chan error, 1)
	l, err := xpcpeer.Listen(xpcpeer.Unix(dir, nil), service, xpcpeer.Config{Policy: yes,
		Accept: func(c *xpcpeer.Conn) (xpcpeer.Events, error) {
			e := pids()
			e.Invalid = func(_ *xpcpeer.Conn, err error) { invalid <- err }
			return e, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	good := xpcpeer.Dial(xpcpeer.Unix(dir, nil), service, xpcpeer.Config{Policy: yes})
	for name, bad := range map[string]struct {
		data string
		fds  []int
	}{
		"noise":                          {"noise", nil},
		"another welcome":                {welcome, nil},
		"a descriptor unnamed":           {message, many(1)},
		"a descriptor that did not come": {withFD, nil},
		"a descriptor named twice":       {fdTwice, many(1)},
		"one too many":                   {withFD, many(2)},
		"as many as fit":                 {withFD, many(30)},
		"more than fit":                  {withFD, many(40)},
		"all the kernel takes":           {withFD, many(253)},
		"descriptors with noise":         {"noise", many(16)},
		"too long":                       {message + string(make([]byte, 70_000)), nil},
		"too long, with descriptors":     {message + string(make([]byte, 70_000)), many(16)},
	} {
		r := rawDial(t, dir)
		if got := r.read(t); got != welcome {
			t.Fatalf("welcomed by %x", got)
		}
		r.send(t, bad.data, bad.fds...)
		if err := <-invalid; !errors.Is(err, wire.ErrMalformed) || !errors.Is(err, xpcpeer.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		r.close()
		serverOf(t, good)
	}
	end(t, good)
	<-invalid
}

// Rule: a client believes nothing before a welcome of its protocol, and dies of
// a lie, while an end without a word is an interruption.
func TestHostileServer(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	listener := bind(t, dir)
	for name, c := range map[string]struct {
		first string
		fds   []int
		want  error
	}{
		"noise":                      {"noise", nil, wire.ErrMalformed},
		"a message first":            {message, nil, wire.ErrMalformed},
		"a call with a descriptor":   {"\x83\x03\x01\xa1\x61k\xd9\xf7\x02\x00", many(1), wire.ErrMalformed},
		"a welcome of protocol 2":    {"\x83\x01\x02\xa0", nil, wire.ErrMalformed},
		"a welcome with descriptors": {welcome, many(40), wire.ErrMalformed},
		"a refusal":                  {"\x83\x05\x00\x67refused", nil, xpcpeer.ErrRefused},
		"silence":                    {"", nil, xpcpeer.ErrInterrupted},
	} {
		conn := xpcpeer.Dial(xpcpeer.Unix(dir, nil), service, xpcpeer.Config{Policy: yes})
		result := make(chan error, 1)
		go func() {
			_, err := conn.Call(patient(), wire.Dict{})
			result <- err
		}()
		r := rawAccept(t, listener)
		if c.first != "" {
			r.send(t, c.first, c.fds...)
		}
		r.close()
		if err := <-result; !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		end(t, conn)
	}
}

func rawAccept(t *testing.T, listener *os.File) raw {
	t.Helper()
	sc, err := listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	s := -1
	cerr := sc.Read(func(fd uintptr) bool {
		s, _, err = unix.Accept4(int(fd), unix.SOCK_CLOEXEC)
		return err != unix.EAGAIN
	})
	if err := errors.Join(cerr, err); err != nil {
		t.Fatal(err)
	}
	return raw(s)
}

// Rule: a reply that was written before the peer closed is found, also if the
// peer left something of ours unread (ECONNRESET comes first then).
func TestReplyBeforeReset(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	listener := bind(t, dir)
	c := xpcpeer.Dial(xpcpeer.Unix(dir, nil), service, xpcpeer.Config{Policy: yes})
	defer end(t, c)
	result := make(chan error, 1)
	go func() {
		_, err := c.Call(patient(), wire.Dict{})
		result <- err
	}()
	r := rawAccept(t, listener)
	r.send(t, welcome)
	if got := r.read(t); got != callOne {
		t.Fatalf("called by %x", got)
	}
	if err := c.Send(patient(), wire.Dict{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second packet is there", func() bool {
		p := []unix.PollFd{{Fd: int32(r), Events: unix.POLLIN}}
		n, _ := unix.Poll(p, 0)
		return n == 1
	})
	r.send(t, replyOne)
	r.close()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

// Rule: replies to nothing are dropped, with their descriptors.
func TestUnaskedReply(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	listener := bind(t, dir)
	c := xpcpeer.Dial(xpcpeer.Unix(dir, nil), service, xpcpeer.Config{Policy: yes})
	defer end(t, c)
	result := make(chan error, 1)
	go func() {
		_, err := c.Call(patient(), wire.Dict{})
		result <- err
	}()
	r := rawAccept(t, listener)
	defer r.close()
	r.send(t, welcome)
	r.read(t)
	r.send(t, "\x83\x04\x18\x63\xa1\x61k\xd9\xf7\x02\x00", many(1)...)
	r.send(t, replyOne)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}
