package surface_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/surface"
	"portward/internal/wire"
)

// How many frames TestKillerOfProcesses sends: a million in
//
//	PORTWARD_SURFACE_FRAMES=1000000 go test ./internal/surface -run KillerOfProcesses
const framesVariable = "PORTWARD_SURFACE_FRAMES"

// draw submits marked frames, of which the first has the number after last,
// until something ends it.
func draw(ctx context.Context, c *surface.Chain, salt uint32, last *uint32) error {
	for {
		b, err := c.Acquire(ctx)
		if err != nil {
			return err
		}
		paint(b.Pix, salt, *last+1)
		if err := c.Submit(b, surface.RegionOf(marked.Bounds())); err != nil {
			return err
		}
		*last++
	}
}

// watch looks at frames, twice at each: when it comes, and when it is released,
// which is up to two frames later.
func watch(ctx context.Context, s *surface.Sink, salt uint32) (seen int, err error) {
	var held []surface.Frame
	defer func() {
		for _, f := range held { // the dead keep what they showed
			err = errors.Join(err, wrong(checkSpots(f, salt)))
			f.Release()
		}
	}()
	for {
		f, err := s.Next(ctx)
		if err != nil {
			return seen, err
		}
		held = append(held, f)
		if err := checkSpots(f, salt); err != nil {
			return seen, wrong(err)
		}
		if seen++; len(held) > seen%surface.Slots {
			first := held[0]
			held = held[1:]
			if err := wrong(checkSpots(first, salt)); err != nil {
				return seen, err
			}
			if err := first.Release(); err != nil {
				return seen, err
			}
		}
	}
}

var errPixels = errors.New("wrong pixels")

func wrong(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errPixels, err)
}

// The sides of TestKillerOfProcesses; they end by being killed.
func drawForEver() error {
	c, err := surface.NewChain(marked)
	if err != nil {
		return err
	}
	peer, err := c.Connect()
	if err != nil {
		return err
	}
	if err := handOver(3, c, peer); err != nil {
		return err
	}
	salt, err := envNumber(saltVariable)
	if err != nil {
		return err
	}
	return draw(context.Background(), c, salt, new(uint32))
}

func watchForEver() error {
	files, err := take(3)
	if err != nil {
		return err
	}
	s, err := sinkOf(marked, files)
	if err != nil {
		return err
	}
	salt, err := envNumber(saltVariable)
	if err != nil {
		return err
	}
	_, err = watch(context.Background(), s, salt)
	return err
}

// handOver sends what a consumer needs, and closes its end of the channel here.
func handOver(socket int, c *surface.Chain, peer *os.File) error {
	defer peer.Close()
	fds := []int{int(peer.Fd())}
	for _, b := range c.Buffers() {
		fds = append(fds, int(b.File.Fd()))
	}
	return unix.Sendmsg(socket, []byte("x"), unix.UnixRights(fds...), nil, 0)
}

func take(socket int) ([]*os.File, error) {
	oob := make([]byte, unix.CmsgSpace(4*(1+surface.Slots)))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	var files []*os.File
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), "received"))
	}
	return files, err
}

func sinkOf(g surface.Geometry, files []*os.File) (*surface.Sink, error) {
	var hs []wire.Handle
	for _, f := range files[1:] {
		hs = append(hs, wire.Surface(f))
	}
	return surface.Open(g, hs, wire.FD(files[0]), nil)
}

// Rule: a process on either side can be killed at any moment, again and again.
// Its peer learns of it, goes on with the next one, and has nothing left of it: no
// descriptor, mapping, thread or goroutine. No frame is torn or shows another's
// pixels, nobody dies of SIGBUS.
func TestKillerOfProcesses(t *testing.T) {
	frames, limit := 100_000, 6*time.Second
	if testing.Short() {
		frames = 5_000
	}
	if n, err := envNumber(framesVariable); err != nil {
		t.Fatal(err)
	} else if n > 0 {
		frames, limit = int(n), 10*time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := &processKiller{t: t, random: rand.New(rand.NewPCG(seed, 0))}
	k.era(k.killProducer) // what the runtime makes once is there before the count
	k.renew()
	k.era(k.killConsumer)
	before := k.have()
	eras, first := 0, k.total
	for end := time.Now().Add(limit); k.total < first+frames && time.Now().Before(end) && !t.Failed(); eras++ {
		switch k.random.IntN(4) {
		case 0:
			k.era(k.killProducer)
		case 1:
			k.renew()
			fallthrough
		default:
			k.era(k.killConsumer)
		}
	}
	for end := time.Now().Add(10 * time.Second); k.have().more(before) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if now := k.have(); now.more(before) {
		t.Errorf("left: %+v, at first %+v", now, before)
	}
	k.chain.Close()
	t.Logf("%d frames, %d killed", k.total-first, eras)
}

type processKiller struct {
	t      *testing.T
	random *rand.Rand
	chain  *surface.Chain // our own, for consumers to be killed
	last   uint32         // number of its last frame
	total  int            // frames that were sent and released, or seen
}

func (k *processKiller) renew() {
	if k.chain != nil {
		k.chain.Close()
	}
	c, err := surface.NewChain(marked)
	if err != nil {
		k.t.Fatal(err)
	}
	k.chain, k.last = c, 0
}

func (k *processKiller) era(kill func(ctx context.Context, salt uint32)) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	kill(ctx, k.random.Uint32())
}

func (k *processKiller) killProducer(ctx context.Context, salt uint32) {
	victim, socket := k.start("drawer", salt)
	defer unix.Close(socket)
	files, err := take(socket)
	if err != nil {
		k.t.Fatal(err)
	}
	s, err := sinkOf(marked, files)
	if err != nil {
		k.t.Fatal(err)
	}
	defer s.Close()
	time.AfterFunc(time.Duration(k.random.IntN(200_000))*time.Microsecond, func() { victim.Process.Kill() })
	seen, err := watch(ctx, s, salt)
	if !errors.Is(err, surface.ErrLost) || errors.Is(err, errPixels) {
		k.t.Errorf("the producer was killed: %v", err)
	}
	k.total += seen
	k.bury(victim)
}

func (k *processKiller) killConsumer(ctx context.Context, salt uint32) {
	victim, socket := k.start("watcher", salt)
	defer unix.Close(socket)
	peer, err := k.chain.Connect()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := handOver(socket, k.chain, peer); err != nil {
		k.t.Fatal(err)
	}
	time.AfterFunc(time.Duration(k.random.IntN(200_000))*time.Microsecond, func() { victim.Process.Kill() })
	before := k.chain.Released()
	if err := draw(ctx, k.chain, salt, &k.last); !errors.Is(err, surface.ErrLost) {
		k.t.Errorf("the consumer was killed: %v", err)
	}
	k.total += int(k.chain.Released() - before)
	k.bury(victim)
}

// start runs a side that shall be killed.
func (k *processKiller) start(side string, salt uint32) (*exec.Cmd, int) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), sideVariable+"="+side, saltVariable+"="+strconv.FormatUint(uint64(salt), 10))
	cmd.ExtraFiles, cmd.Stderr = []*os.File{theirs}, os.Stderr
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	return cmd, pair[0]
}

// bury takes the victim's status: it must have died of nothing else.
func (k *processKiller) bury(victim *exec.Cmd) {
	victim.Process.Kill()
	victim.Wait()
	if s := victim.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != unix.SIGKILL {
		k.t.Errorf("the victim ended by itself: %v", victim.ProcessState)
	}
}

// belongings are what a process can leak.
type belongings struct{ files, maps, threads int }

func (k *processKiller) have() belongings {
	files, _ := os.ReadDir("/proc/self/fd")
	threads, _ := os.ReadDir("/proc/self/task")
	maps, _ := os.ReadFile("/proc/self/maps")
	return belongings{len(files), strings.Count(string(maps), "memfd:"), len(threads)}
}

// more leaves some room to the runtime, which makes threads as it needs them.
func (b belongings) more(than belongings) bool {
	return b.files > than.files || b.maps > than.maps || b.threads > than.threads+8
}
