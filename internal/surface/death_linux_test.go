package surface_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/surface"
	"portward/internal/wire"
)

// The other side of these tests is the test binary itself, told by this
// variable which side it is, with the way to the first as descriptor 3.
const sideVariable = "PORTWARD_SURFACE_TEST_SIDE"

func TestMain(m *testing.M) {
	switch side := os.Getenv(sideVariable); side {
	case "":
		os.Exit(run(m))
	case "producer":
		fmt.Fprintln(os.Stderr, produceForEver())
	case "consumer":
		fmt.Fprintln(os.Stderr, consumeForEver())
	case "drawer":
		fmt.Fprintln(os.Stderr, drawForEver())
	case "watcher":
		fmt.Fprintln(os.Stderr, watchForEver())
	}
	os.Exit(70)
}

var process = surface.Geometry{Width: 320, Height: 200, Stride: 1280, Format: surface.FormatBGRX}

func produceForEver() error {
	c, err := surface.NewChain(process)
	if err != nil {
		return err
	}
	peer, err := c.Connect()
	if err != nil {
		return err
	}
	fds := []int{int(peer.Fd())}
	for _, b := range c.Buffers() {
		fds = append(fds, int(b.File.Fd()))
	}
	if err := unix.Sendmsg(3, []byte("x"), unix.UnixRights(fds...), nil, 0); err != nil {
		return err
	}
	peer.Close()
	for i := uint32(1); ; i++ {
		b, err := c.Acquire(context.Background())
		if err != nil {
			return err
		}
		for at := 0; at < len(b.Pix); at += 4 {
			binary.LittleEndian.PutUint32(b.Pix[at:], i)
		}
		if err := c.Submit(b, surface.RegionOf(process.Bounds())); err != nil {
			return err
		}
	}
}

func consumeForEver() error {
	oob := make([]byte, unix.CmsgSpace(16))
	_, n, _, _, err := unix.Recvmsg(3, make([]byte, 1), oob, 0)
	if err != nil {
		return err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return err
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		return err
	}
	var hs []wire.Handle
	for _, fd := range fds[1:] {
		hs = append(hs, wire.Surface(os.NewFile(uintptr(fd), "received")))
	}
	s, err := surface.Open(process, hs, wire.FD(os.NewFile(uintptr(fds[0]), "received")), nil)
	if err != nil {
		return err
	}
	for {
		f, err := s.Next(context.Background())
		if err != nil {
			return err
		}
		if err := f.Release(); err != nil {
			return err
		}
	}
}

// start runs the other side; the descriptor leads to it.
func start(t *testing.T, side string) (kill func(), socket int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]) })
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), sideVariable+"="+side)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	return kill, pair[0]
}

// A producer killed in the middle of its work: what the consumer has mapped
// stays, whole, and it is told.
func TestProducerKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	kill, socket := start(t, "producer")
	files := receive(t, socket, 1+surface.Slots)
	var hs []wire.Handle
	for _, f := range files[1:] {
		hs = append(hs, wire.Surface(f))
	}
	s, err := surface.Open(process, hs, wire.FD(files[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var held surface.Frame
	for i := range 100 {
		f, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if i == 50 {
			held = f
			continue
		}
		if err := f.Release(); err != nil {
			t.Fatal(err)
		}
	}
	kill()
	for {
		f, err := s.Next(ctx) // what was on the way may still come
		if err != nil {
			if !errors.Is(err, surface.ErrLost) {
				t.Fatal(err)
			}
			break
		}
		f.Release()
	}
	first := held.Pix[:4]
	for at := 0; at < len(held.Pix); at += 4 {
		if !slices.Equal(held.Pix[at:at+4], first) {
			t.Fatalf("the frame that was out is torn at byte %d", at)
		}
	}
	held.Release()
}

// A consumer killed in the middle of its work, again and again: the producer
// is told, gets all its slots back and streams to the next one.
func TestConsumerKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := surface.NewChain(process)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		kill, socket := start(t, "consumer")
		peer, err := c.Connect()
		if err != nil {
			t.Fatal(err)
		}
		fds := []int{int(peer.Fd())}
		for _, b := range c.Buffers() {
			fds = append(fds, int(b.File.Fd()))
		}
		if err := unix.Sendmsg(socket, []byte("x"), unix.UnixRights(fds...), nil, 0); err != nil {
			t.Fatal(err)
		}
		peer.Close()
		want := c.Released() + 100
		for c.Released() < want {
			stream(t, ctx, c, nil)
		}
		kill()
		for lost := error(nil); lost == nil; {
			lost = stream(t, ctx, c, surface.ErrLost)
		}
		<-c.Lost()
	}
}

// stream submits one frame, and answers an error only of the kind that is fine.
func stream(t *testing.T, ctx context.Context, c *surface.Chain, fine error) error {
	t.Helper()
	b, err := c.Acquire(ctx)
	if err == nil {
		err = c.Submit(b, surface.RegionOf(process.Bounds()))
	}
	if err != nil && (fine == nil || !errors.Is(err, fine)) {
		t.Fatal(err)
	}
	return err
}
