package surface

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"portward/internal/wire"
)

var square = Geometry{Width: 16, Height: 16, Stride: 64, Format: FormatBGRX}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func noLeaks(t *testing.T) {
	wakePoller(t)
	ignore, files, maps := goleak.IgnoreCurrent(), countFiles(), countMaps()
	t.Cleanup(func() {
		goleak.VerifyNone(t, ignore)
		if n := countFiles(); n > files {
			t.Errorf("%d descriptors left", n-files)
		}
		if n := countMaps(); n > maps {
			t.Errorf("%d mappings left", n-maps)
		}
	})
}

// wakePoller has the runtime open its poller's own descriptors before they
// are counted.
func wakePoller(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
}

func countFiles() int {
	all, _ := os.ReadDir("/proc/self/fd")
	return len(all)
}

func countMaps() int {
	b, _ := os.ReadFile("/proc/self/maps")
	return strings.Count(string(b), "memfd:")
}

// memfile makes memory as a peer might.
func memfile(t *testing.T, size, seals, flags int) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("peer", unix.MFD_CLOEXEC|flags)
	if err != nil {
		t.Skipf("needs memfd_create with flags %#x: %v", flags, err)
	}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		t.Fatal(err)
	}
	if seals != 0 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
			t.Fatal(err)
		}
	}
	return os.NewFile(uintptr(fd), "peer")
}

func honestMemory(t *testing.T) *os.File {
	return memfile(t, square.Size(), finalSize, unix.MFD_ALLOW_SEALING)
}

// reopen opens the memory of f with other rights.
func reopen(t *testing.T, f *os.File, flags int) *os.File {
	t.Helper()
	defer f.Close()
	g, err := os.OpenFile(filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd()))), flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func open(t *testing.T, name string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		t.Skipf("needs %s: %v", name, err)
	}
	return f
}

func pair(t *testing.T, kind int) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
}

// An offer is what a hostile producer sends.
type offer struct {
	geometry Geometry
	surfaces []wire.Handle
	frames   wire.Handle
}

func honestOffer(t *testing.T) (o offer, producer *byHand) {
	producer, theirs := producerByHand(t)
	o = offer{square, nil, wire.FD(theirs)}
	for range Slots {
		o.surfaces = append(o.surfaces, wire.Surface(honestMemory(t)))
	}
	return o, producer
}

// byHand is one end of a channel that writes what it likes into its ring.
type byHand struct{ *ring }

// producerByHand answers the consumer's end as it is sent.
func producerByHand(t *testing.T) (*byHand, *os.File) {
	t.Helper()
	r, theirs, err := rings{}.create()
	if err != nil {
		t.Fatal(err)
	}
	p := &byHand{r.(*ring)}
	t.Cleanup(p.Close)
	return p, theirs
}

// consumerByHand takes the end that a chain made.
func consumerByHand(t *testing.T, f *os.File) *byHand {
	t.Helper()
	defer f.Close()
	r, err := rings{}.adopt(f)
	if err != nil {
		t.Fatal(err)
	}
	p := &byHand{r.(*ring)}
	t.Cleanup(p.Close)
	return p
}

func (p *byHand) Close() { p.close() }

// send writes an entry, whatever it says.
func (p *byHand) send(b []byte) error {
	if !p.enter() {
		return ErrClosed
	}
	defer p.leave()
	if p.ended() != nil || p.out.at-atomic.LoadUint32(p.out.tail) >= laneEntries {
		return errors.New("no room, or nobody there")
	}
	e := p.out.entry(p.out.at)
	for i := range e {
		e[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	p.out.at++
	p.head(p.out.at)
	return nil
}

// untilOver does something again and again.
func (p *byHand) untilOver(do func()) {
	for over := false; !over && p.enter(); p.leave() {
		do()
		over = p.ended() != nil
	}
}

// head says that there are entries up to n.
func (p *byHand) head(n uint32) {
	atomic.StoreUint32(p.out.head, n)
	p.out.rouse()
}

// message goes over the socket, beside the ring.
func (p *byHand) message(t *testing.T, b, oob []byte) {
	t.Helper()
	var sent error
	if err := p.socket.raw.Control(func(fd uintptr) { sent = unix.Sendmsg(int(fd), b, oob, nil, sendFlags) }); err != nil || sent != nil {
		t.Fatal(err, sent)
	}
}

// swap puts another handle in a slot.
func (o *offer) swap(i int, f *os.File) {
	o.surfaces[i].Close()
	o.surfaces[i] = wire.Surface(f)
}

func (o *offer) channel(f *os.File) {
	o.frames.Close()
	o.frames = wire.FD(f)
}
