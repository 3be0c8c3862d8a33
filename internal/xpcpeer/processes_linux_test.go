package xpcpeer_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

func bind(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := xpcpeer.BindUnix(dir, service, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func end(t *testing.T, c *xpcpeer.Conn) {
	t.Helper()
	c.Close()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Error("a connection does not end")
	}
}

// serverOf asks who answers.
func serverOf(t *testing.T, c *xpcpeer.Conn) int {
	t.Helper()
	d, err := c.Call(patient(), wire.Dict{})
	if err != nil {
		t.Fatal(err)
	}
	n, _ := wire.Get[int64](d, "server")
	return int(n)
}

// Rules: a listening socket that we hold names us to getsockopt, but the
// evidence is the process that serves it; redials queue while nobody does; the
// successor is judged anew.
func TestServerAndItsSuccessor(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	listener := bind(t, dir)
	interrupted := make(chan struct{}, 1)
	var judged []int
	c := xpcpeer.Dial(xpcpeer.Unix(dir, nil), service, xpcpeer.Config{
		Policy: func(e *xpcpeer.Evidence) error { judged = append(judged, e.PID); return nil },
		Events: xpcpeer.Events{Interrupted: func(*xpcpeer.Conn) { interrupted <- struct{}{} }},
	})
	defer end(t, c)
	first := cast(t, "server", listener, 0)
	first.says(t)
	if pid := serverOf(t, c); pid != first.Process.Pid || c.Evidence().PID != pid {
		t.Fatalf("served by %d, evidence %v, want %d", pid, c.Evidence(), first.Process.Pid)
	}
	itsExecutable(t, c.Evidence())
	first.end()
	<-interrupted
	answer := make(chan int, 1)
	go func() {
		d, _ := c.Call(patient(), wire.Dict{}) // waits in the backlog
		n, _ := wire.Get[int64](d, "server")
		answer <- int(n)
	}()
	second := cast(t, "server", listener, 0)
	if pid := <-answer; pid != second.Process.Pid || c.Evidence().PID != pid {
		t.Fatalf("served by %d, evidence %v, want %d", pid, c.Evidence(), second.Process.Pid)
	}
	if len(judged) != 2 || judged[0] == judged[1] {
		t.Fatalf("judged %v", judged)
	}
}

func itsExecutable(t *testing.T, e *xpcpeer.Evidence) {
	t.Helper()
	f, err := e.Executable()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, _ := f.Stat()
	want, err := os.Stat("/proc/self/exe")
	if err != nil || !os.SameFile(got, want) {
		t.Fatalf("not our executable: %v", err)
	}
}

// Rule: an endpoint relayed through a second process lets a third reach the
// first, and the kernel names the third.
func TestThreeProcesses(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	tr := xpcpeer.Unix(dir, nil)
	held := make(chan wire.Handle, 1)
	relay, err := xpcpeer.Listen(tr, service, xpcpeer.Config{Policy: yes, Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
		return xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
			if ep, ok := m.Dict().Take("offer", wire.HandleEndpoint); ok {
				held <- ep
				m.Reply(wire.Dict{})
				return
			}
			ep := <-held
			defer ep.Close()
			m.Reply(wire.Dict{"endpoint": ep})
		}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	agent := cast(t, "agent", nil, 0, dir)
	agent.says(t)
	third := cast(t, "third", nil, 0, dir)
	server, caller, evidence := roles(t, third.says(t))
	if server != agent.Process.Pid || evidence != server || caller != third.Process.Pid {
		t.Fatalf("agent %d, third %d: server %d, caller %d, evidence %d", agent.Process.Pid, third.Process.Pid, server, caller, evidence)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatalf("in the directory: %v, %v", left, err)
	}
	agent.end()
	third.end()
}

// Rule: another user who holds the endpoint reaches it; the policy sees who.
func TestEndpointOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	leavesNoFile(t)
	const nobody = 65534
	seen := make(chan uint32, 1)
	cfg := answering()
	cfg.Policy = func(e *xpcpeer.Evidence) error { seen <- e.UID; return nil }
	l, err := xpcpeer.Anonymous(xpcpeer.Unix(t.TempDir(), nil), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ep, err := l.Endpoint()
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	f, _ := ep.File()
	p := cast(t, "endpoint", f, nobody)
	_, caller, _ := roles(t, p.says(t))
	if uid := <-seen; uid != nobody || caller != p.Process.Pid {
		t.Fatalf("uid %d, process %d", uid, caller)
	}
	p.end()
}

// Rule: a stopped peer holds one call, however many deadlines pass.
func TestStoppedPeer(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	p := cast(t, "server", bind(t, dir), 0)
	c := xpcpeer.Dial(xpcpeer.Unix(dir, nil), service, xpcpeer.Config{Policy: yes, MaxOutstanding: 1})
	defer end(t, c)
	serverOf(t, c)
	p.Process.Signal(syscall.SIGSTOP)
	call := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err := c.Call(ctx, wire.Dict{})
		return err
	}
	eventually(t, "a call is written and stays", func() bool { return errors.Is(call(), xpcpeer.ErrBusy) })
	for range 100 {
		if err := call(); !errors.Is(err, xpcpeer.ErrBusy) {
			t.Fatalf("one more call: %v", err)
		}
	}
	p.Process.Signal(syscall.SIGCONT)
	eventually(t, "the late reply frees the place", func() bool {
		_, err := c.Call(patient(), wire.Dict{})
		return err == nil
	})
}

// Rule: the ends of an inherited socketpair prove themselves by their welcomes,
// not by who made the pair; the death of either is invalid for the other.
func TestFromFile(t *testing.T) {
	leavesNoFile(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	p := cast(t, "twin", theirs, 0)
	theirs.Close()
	invalid := make(chan error, 1)
	c, err := xpcpeer.FromFile(ours, xpcpeer.Config{Policy: yes, Events: xpcpeer.Events{
		Invalid: func(_ *xpcpeer.Conn, err error) { invalid <- err }}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Call(patient(), wire.Dict{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Evidence().PID != p.Process.Pid || d["server"] != int64(p.Process.Pid) || d["caller"] != int64(os.Getpid()) {
		t.Fatalf("twin %d, evidence %v, answer %v", p.Process.Pid, c.Evidence(), d)
	}
	p.end()
	if err := <-invalid; !errors.Is(err, xpcpeer.ErrInvalid) {
		t.Fatal(err)
	}
}

// Rule: what is not a connected SOCK_SEQPACKET socket is refused and closed.
func TestFromFileRefuses(t *testing.T) {
	leavesNoFile(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if c, err := xpcpeer.FromFile(r, xpcpeer.Config{Policy: yes}); err == nil {
		end(t, c)
		t.Fatal("a pipe was taken for a peer")
	}
}
