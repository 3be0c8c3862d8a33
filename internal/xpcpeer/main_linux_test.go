package xpcpeer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// The test binary plays the other processes: PORTWARD_TEST_ROLE says which.
func TestMain(m *testing.M) {
	if role := os.Getenv("PORTWARD_TEST_ROLE"); role != "" {
		if err := play(role, os.Args[1:]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(run(m))
}

const (
	patience = 30 * time.Second
	service  = "dev.portward.test"
)

func yes(*xpcpeer.Evidence) error { return nil }

// play runs until standard input ends.
func play(role string, args []string) error {
	var err error
	switch role {
	case "server": // descriptor 3 is the service's listening socket, made by another process
		_, err = xpcpeer.Listen(xpcpeer.Unix("", map[string]*os.File{service: os.NewFile(3, "")}), service, answering())
	case "agent": // offers an anonymous endpoint to the service in args[0]
		err = offer(xpcpeer.Unix(args[0], nil))
	case "third": // asks the service in args[0] for the endpoint and calls it
		err = reach(xpcpeer.Unix(args[0], nil))
	case "endpoint": // descriptor 3 is an endpoint
		err = callEndpoint(xpcpeer.Unix("", nil), wire.Handle{Kind: wire.HandleEndpoint, Object: os.NewFile(3, "")})
	case "twin": // descriptor 3 is one end of a socketpair
		_, err = xpcpeer.FromFile(os.NewFile(3, "twin"), xpcpeer.Config{Policy: yes, Events: pids()})
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// pids answers every call with who we are and who the kernel says the caller is.
func pids() xpcpeer.Events {
	return xpcpeer.Events{Message: func(c *xpcpeer.Conn, m *xpcpeer.Message) {
		m.Reply(wire.Dict{"server": int64(os.Getpid()), "caller": int64(c.Evidence().PID)})
	}}
}

func answering() xpcpeer.Config {
	return xpcpeer.Config{Policy: yes, Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) { return pids(), nil }}
}

func patient() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func offer(t xpcpeer.Transport) error {
	l, err := xpcpeer.Anonymous(t, answering())
	if err != nil {
		return err
	}
	ep, err := l.Endpoint()
	if err != nil {
		return err
	}
	defer ep.Close()
	_, err = xpcpeer.Dial(t, service, xpcpeer.Config{Policy: yes}).Call(patient(), wire.Dict{"offer": ep})
	return err
}

func reach(t xpcpeer.Transport) error {
	d, err := xpcpeer.Dial(t, service, xpcpeer.Config{Policy: yes}).Call(patient(), wire.Dict{})
	if err != nil {
		return err
	}
	ep, _ := d.Take("endpoint", wire.HandleEndpoint)
	return callEndpoint(t, ep)
}

func callEndpoint(t xpcpeer.Transport, ep wire.Handle) error {
	c, err := xpcpeer.DialEndpoint(t, ep, xpcpeer.Config{Policy: yes})
	if err != nil {
		return err
	}
	d, err := c.Call(patient(), wire.Dict{})
	if err != nil {
		return err
	}
	fmt.Println("server", d["server"], "caller", d["caller"], "evidence", c.Evidence().PID)
	return nil
}

// A player is a process of ours that plays a role.
type player struct {
	*exec.Cmd
	lines *bufio.Scanner
	stdin io.Closer
}

// cast starts a player, with f as descriptor 3, and waits for what it says.
func cast(t *testing.T, role string, f *os.File, uid uint32, args ...string) *player {
	t.Helper()
	p := &player{Cmd: exec.Command("/proc/self/exe", args...)}
	p.Env = append(os.Environ(), "PORTWARD_TEST_ROLE="+role)
	p.Stderr = os.Stderr
	if f != nil {
		p.ExtraFiles = []*os.File{f}
	}
	if uid != 0 {
		p.Dir = "/"
		p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	p.lines = bufio.NewScanner(out)
	return p
}

func (p *player) end() {
	p.stdin.Close()
	p.Process.Kill()
	p.Wait()
}

func (p *player) says(t *testing.T) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("a player ended without a word: %v", p.lines.Err())
	}
	if s := p.lines.Text(); !strings.HasPrefix(s, "error:") {
		return s
	}
	t.Fatal(p.lines.Text())
	return ""
}

// roles reads "server A caller B evidence C".
func roles(t *testing.T, line string) (server, caller, evidence int) {
	t.Helper()
	f := strings.Fields(line)
	if len(f) != 6 {
		t.Fatalf("a player said %q", line)
	}
	server, _ = strconv.Atoi(f[1])
	caller, _ = strconv.Atoi(f[3])
	evidence, _ = strconv.Atoi(f[5])
	return server, caller, evidence
}

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// leavesNoFile fails the test if it leaves a descriptor behind.
func leavesNoFile(t *testing.T) {
	t.Helper()
	warm := cast(t, "warm", nil, 0) // pidfds, epoll: what stays open after a first time
	warm.end()
	before := openFiles(t)
	t.Cleanup(func() {
		eventually(t, "as many descriptors as before", func() bool { return openFiles(t) <= before })
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("never happened: %s", what)
			return
		}
	}
}
