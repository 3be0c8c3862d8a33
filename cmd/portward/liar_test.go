//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"

	"portward/internal/program"
	"portward/internal/surface"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// A liar is this test binary, run again: a process that the seal does not
// name, as whatever user a test gives it. What it does is a lie, by name.
type liar struct {
	root    string
	session string
	out     *json.Encoder
	ended   chan error // of conn
	conn    *xpcpeer.Conn
}

// A confession is how the other side took the lie.
type confession struct {
	Code  wire.Code `json:"code"`  // of the refusal, "" if there was none
	Text  string    `json:"text"`  // the refusal's or the error's
	Ended bool      `json:"ended"` // the connection, or the frame channel
}

const (
	lieVariable     = "PORTWARD_TEST_LIE"
	rootVariable    = "PORTWARD_TEST_ROOT"
	sessionVariable = "PORTWARD_TEST_SESSION"
)

// soon bounds what a liar waits for; nothing of it is a promise.
const soon = patience / 2

// TestLiar is no test: where the environment names a lie, this process is the
// liar.
func TestLiar(t *testing.T) {
	name := os.Getenv(lieVariable)
	if name == "" {
		return
	}
	l := &liar{
		root: os.Getenv(rootVariable), session: os.Getenv(sessionVariable),
		out: json.NewEncoder(os.NewFile(3, "confession")), ended: make(chan error, 1),
	}
	c, err := allLies()[name].tell(l)
	if err != nil {
		c.Text = err.Error()
		if r := (wire.Refusal{}); errors.As(err, &r) {
			c.Code, c.Text = r.Code, r.Text
		}
	}
	l.confess(c)
	os.Exit(0)
}

func (l *liar) confess(c confession) { l.out.Encode(c) }

// hold confesses and stays as it is until the test lets go.
func (l *liar) hold(c confession) (confession, error) {
	l.confess(c)
	io.Copy(io.Discard, os.Stdin)
	return c, nil
}

// anyone lets whoever answers be netchild.
func anyone(*xpcpeer.Evidence) error { return nil }

func (l *liar) dial(service string) *xpcpeer.Conn {
	l.conn = xpcpeer.Dial(xpcpeer.Unix(program.RunDir(l.root), nil), service, xpcpeer.Config{
		Policy: anyone,
		Events: xpcpeer.Events{
			Interrupted: func(c *xpcpeer.Conn) { c.Close() },
			Invalid:     func(_ *xpcpeer.Conn, err error) { l.ended <- err },
		},
	})
	return l.conn
}

func (l *liar) call(d wire.Dict) (wire.Dict, error) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	return l.conn.Call(ctx, d)
}

// say makes one call and answers how it was taken; ends says whether the
// connection is expected to end by it, and is waited for.
func (l *liar) say(d wire.Dict, ends bool) (confession, error) {
	r, err := l.call(d)
	if err == nil {
		_, err = wire.ParseOK(r)
	}
	return confession{Ended: l.hasEnded(ends)}, err
}

// hasEnded waits for the end where it is expected; where it is not, it makes
// sure that the connection still carries a call.
func (l *liar) hasEnded(expected bool) bool {
	if expected {
		select {
		case <-l.ended:
			return true
		case <-time.After(soon):
			return false
		}
	}
	d, err := l.call(wire.Dict{"k": "x-still-there"})
	if err == nil {
		_, err = wire.ParseOK(d)
	}
	r := wire.Refusal{}
	return !errors.As(err, &r) || r.Code != wire.CodeUnknown
}

// greet is an honest hello, as the session's agent or as a tool.
func (l *liar) greet(role string) error {
	l.dial(launchd.NetChildService)
	d, err := l.call(wire.Hello{Min: wire.VersionMin, Max: wire.VersionMax, Build: "liar", Role: role, Session: l.session}.Dict())
	if err != nil {
		return err
	}
	_, err = wire.ParseWelcome(d)
	return err
}

// smallest is the geometry of an honest chain.
var smallest = surface.Geometry{Width: 64, Height: 64, Stride: 256, Format: surface.FormatBGRX}

// offer is an honest attach; ours is the other end of its frame channel.
func offer(g surface.Geometry) (at wire.Attach, ours *ringByHand, err error) {
	chain, err := surface.NewChain(g)
	if err != nil {
		return at, nil, err
	}
	ours, theirs, err := newRingByHand()
	if err != nil {
		return at, nil, err
	}
	return wire.Attach{
		Chain: 1, Width: uint64(g.Width), Height: uint64(g.Height), Stride: uint64(g.Stride), Format: uint64(g.Format),
		Surfaces: chain.Surfaces(), Frames: wire.FD(theirs),
	}, ours, nil
}

// attaching tells a lie in an otherwise honest attach.
func attaching(ends bool, twist func(*wire.Attach) error) func(*liar) (confession, error) {
	return func(l *liar) (confession, error) {
		if err := l.greet(wire.ClaimAgent); err != nil {
			return confession{}, err
		}
		at, _, err := offer(smallest)
		if err == nil {
			err = twist(&at)
		}
		if err != nil {
			return confession{}, err
		}
		return l.say(at.Dict(), ends)
	}
}

// replacing puts other descriptors in the place of surfaces.
func replacing(make func(i int) (*os.File, error)) func(*liar) (confession, error) {
	return attaching(true, func(at *wire.Attach) error {
		for i := range at.Surfaces {
			f, err := make(i)
			if err != nil {
				return err
			}
			at.Surfaces[i] = wire.Surface(f)
		}
		return nil
	})
}

// channel puts another descriptor in the place of the frame channel.
func channel(make func() (*os.File, error)) func(*liar) (confession, error) {
	return attaching(true, func(at *wire.Attach) error {
		f, err := make()
		at.Frames = wire.FD(f)
		return err
	})
}

// framing attaches honestly and lies on the frame channel; netchild must close
// it. Honest frames before the lie must be released.
func framing(honest int, lies ...[]byte) func(*liar) (confession, error) {
	return func(l *liar) (confession, error) {
		if err := l.greet(wire.ClaimAgent); err != nil {
			return confession{}, err
		}
		at, ring, err := offer(smallest)
		if err != nil {
			return confession{}, err
		}
		if c, err := l.say(at.Dict(), false); err != nil || c.Ended {
			return c, errors.Join(err, errors.New("an honest attach was refused"))
		}
		at.Frames.Close() // ours would hide netchild's close
		for i := range honest {
			if err := errors.Join(ring.write(descriptor(i%surface.Slots, uint32(i+1), 0, 0, 64, 64)), ring.release()); err != nil {
				return confession{}, fmt.Errorf("honest frame %d: %w", i, err)
			}
		}
		for _, lie := range lies {
			// EPIPE: an earlier one was enough.
			if err := ring.write(lie); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
				return confession{}, err
			}
		}
		return confession{Ended: true}, ring.end()
	}
}

// descriptor is a frame as it travels: slot, sequence number, one rectangle.
func descriptor(slot int, seq uint32, x, y, w, h uint16) []byte {
	b := make([]byte, 64)
	b[0], b[1] = byte(slot), 1
	binary.LittleEndian.PutUint32(b[4:], seq)
	for i, v := range []uint16{x, y, w, h} {
		binary.LittleEndian.PutUint16(b[8+2*i:], v)
	}
	return b
}

// A mute writes packets by hand and reads none of the answers.
type mute int

// The kinds of packets, package xpcpeer.
const (
	packetMessage = 2
	packetCall    = 3
)

func (l *liar) mute(service string) (mute, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	dir, err := openFlags(program.RunDir(l.root), unix.O_PATH)
	if err != nil {
		return -1, err
	}
	defer dir.Close()
	tv := unix.NsecToTimeval(int64(soon))
	return mute(s), errors.Join(
		unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv),
		unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.Connect(s, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), service)}))
}

// muteAgent is a mute that was greeted.
func (l *liar) muteAgent() (mute, error) {
	m, err := l.mute(launchd.NetChildService)
	if err != nil {
		return m, err
	}
	if err := m.read(); err != nil { // the transport's welcome
		return m, err
	}
	if err := m.send(packetCall, 1, wire.Hello{Min: wire.VersionMin, Max: wire.VersionMax, Build: "mute", Role: wire.ClaimAgent, Session: l.session}.Dict()); err != nil {
		return m, err
	}
	return m, m.read()
}

func (m mute) read() error {
	b := make([]byte, 1<<16)
	n, err := unix.Read(int(m), b)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return err
}

func (m mute) send(kind, id uint64, d wire.Dict, fds ...int) error {
	b, err := cbor.Marshal([]any{kind, id, map[string]any(d)})
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		_, err = unix.SendmsgN(int(m), b, rights, nil, unix.MSG_NOSIGNAL)
		// Too many descriptors of this user's are on their way already.
		if !errors.Is(err, unix.ETOOMANYREFS) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// flood sends n messages of what make answers, and confesses whether the other
// side put an end to it.
func (m mute) flood(n int, kind uint64, d wire.Dict, fds ...int) (confession, error) {
	for i := range n {
		err := m.send(kind, uint64(i+2)*min(1, kind-packetMessage), d, fds...)
		if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
			return confession{Ended: true, Text: fmt.Sprintf("after %d", i)}, nil
		}
		if err != nil {
			return confession{}, err
		}
	}
	return confession{}, nil
}

// silent opens n connections that say nothing and holds them.
func silent(service string, n int) func(*liar) (confession, error) {
	return func(l *liar) (confession, error) {
		opened := 0
		for range n {
			if _, err := l.mute(service); err != nil {
				return confession{}, fmt.Errorf("connection %d: %w", opened, err)
			}
			opened++
		}
		return l.hold(confession{Text: fmt.Sprintf("%d opened", opened)})
	}
}

// knocking connects, and answers how the other side's policy took it.
func knocking(service string) func(*liar) (confession, error) {
	return func(l *liar) (confession, error) {
		c := l.dial(service)
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		err := c.Activate(ctx)
		return confession{Ended: errors.Is(err, xpcpeer.ErrRefused)}, err
	}
}

// A telling is a running liar.
type telling struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.Closer
	errs strings.Builder
	says *json.Decoder
	done chan struct{}
}

// liarPath answers a copy of this test binary that every user may run.
func liarPath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(binDir(t), "liar")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(path, self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// tell starts a liar as uid.
func (r *running) tell(t *testing.T, uid uint32, session, lie string) *telling {
	t.Helper()
	if _, ok := allLies()[lie]; !ok {
		t.Fatalf("no lie %q", lie)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	x := &telling{t: t, cmd: exec.Command(liarPath(t), "-test.run", "^TestLiar$"), says: json.NewDecoder(out), done: make(chan struct{})}
	x.cmd.Dir = "/"
	x.cmd.Env = []string{lieVariable + "=" + lie, rootVariable + "=" + r.root, sessionVariable + "=" + session, "TMPDIR=/tmp", "GORACE=atexit_sleep_ms=0"}
	x.cmd.Stdout, x.cmd.Stderr = &x.errs, &x.errs
	x.cmd.ExtraFiles = []*os.File{in}
	credential(x.cmd, int(uid))
	if x.in, err = x.cmd.StdinPipe(); err == nil {
		err = x.cmd.Start()
	}
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() { x.cmd.Wait(); close(x.done) }()
	t.Cleanup(func() { x.end(); out.Close() })
	return x
}

// end lets a liar that holds go, or kills it.
func (x *telling) end() {
	x.in.Close()
	select {
	case <-x.done:
	case <-time.After(soon):
		x.cmd.Process.Signal(syscall.SIGKILL)
		<-x.done
	}
}

// hear waits for the confession.
func (x *telling) hear() confession {
	x.t.Helper()
	got := make(chan confession, 1)
	failed := make(chan error, 1)
	go func() {
		var c confession
		if err := x.says.Decode(&c); err != nil {
			failed <- err
			return
		}
		got <- c
	}()
	select {
	case c := <-got:
		return c
	case err := <-failed:
		<-x.done
		x.t.Fatalf("the liar said nothing: %v\n%s", err, x.errs.String())
	case <-time.After(2 * patience):
		x.cmd.Process.Signal(syscall.SIGQUIT)
		<-x.done
		x.t.Fatalf("the liar is stuck\n%s", x.errs.String())
	}
	return confession{}
}

// handleTag is a descriptor as a packet names it, package xpcpeer.
func handleTag(i int) cbor.Tag { return cbor.Tag{Number: 63234, Content: uint64(i)} }
