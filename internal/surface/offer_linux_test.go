package surface

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

func honestOffer(t *testing.T) (o offer, producer *os.File) {
	producer, theirs := pair(t, unix.SOCK_SEQPACKET)
	t.Cleanup(func() { producer.Close() })
	o = offer{square, nil, wire.FD(theirs)}
	for range Slots {
		o.surfaces = append(o.surfaces, wire.Surface(honestMemory(t)))
	}
	return o, producer
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
