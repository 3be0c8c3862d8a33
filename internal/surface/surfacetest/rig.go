package surfacetest

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portward/internal/surface"
	"portward/internal/wire"
)

// A Pass carries to a consumer what a producer sends: it borrows both and
// answers handles of its own.
type Pass func(t testing.TB, surfaces []wire.Handle, frames *os.File) ([]wire.Handle, wire.Handle)

// A Way is how pixels get from one end of a chain to the other, and how somebody
// else makes surfaces that are relayed.
type Way struct {
	Platform surface.Platform
	Pass     Pass
	Draw     func(testing.TB, surface.Geometry) Drawing
}

// patience is for what must happen; nothing is ever expected to take so long.
const patience = 30 * time.Second

var small = surface.Geometry{Width: 64, Height: 48, Stride: 64 * 4, Format: surface.FormatBGRX}

// A rig is one chain on its way to one consumer.
type rig struct {
	t     testing.TB
	ctx   context.Context
	way   Way
	chain *surface.Chain
}

// newRig checks, when the test is over, that nothing of it is left.
func newRig(t *testing.T, w Way, g surface.Geometry) *rig {
	t.Helper()
	checkLeaks(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	chain, err := w.Platform.NewChain(g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chain.Close() })
	return &rig{t, ctx, w, chain}
}

// connect makes a channel and answers its consumer.
func (r *rig) connect(a *surface.Account) *surface.Sink {
	r.t.Helper()
	s, err := r.open(a)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) open(a *surface.Account) (*surface.Sink, error) {
	r.t.Helper()
	peer, err := r.chain.Connect()
	if err != nil {
		r.t.Fatal(err)
	}
	surfaces, frames := r.way.Pass(r.t, r.chain.Surfaces(), peer)
	peer.Close()
	s, err := r.way.Platform.Open(r.chain.Geometry(), surfaces, frames, a)
	if err == nil {
		r.t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// submit sends a frame whose first pixel is mark.
func (r *rig) submit(mark uint32, dirty surface.Rect) {
	r.t.Helper()
	b, err := r.chain.Acquire(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b.Pix, mark)
	if err := r.chain.Submit(b, surface.RegionOf(dirty)); err != nil {
		r.t.Fatal(err)
	}
}

// next answers a frame that is released at the end of the test, if not before.
func (r *rig) next(s *surface.Sink) surface.Frame {
	r.t.Helper()
	f, err := s.Next(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Release() })
	return f
}

func (r *rig) release(f surface.Frame) {
	r.t.Helper()
	if err := f.Release(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) lost() {
	r.t.Helper()
	select {
	case <-r.chain.Lost():
	case <-r.ctx.Done():
		r.t.Fatal("the producer never learned that its consumer is gone")
	}
}

func (r *rig) wantErr(what string, got, want error) {
	r.t.Helper()
	if !errors.Is(got, want) {
		r.t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// until polls for something that another goroutine or the kernel brings about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func mark(f surface.Frame) uint32 { return binary.LittleEndian.Uint32(f.Pix) }

// checkLeaks holds goroutines, descriptors and mappings at the end of the test
// against those at its start.
func checkLeaks(t *testing.T) {
	wakePoller(t)
	ignore := goleak.IgnoreCurrent()
	files, maps := openFiles(), surfaceMaps()
	t.Cleanup(func() {
		until(t, "all descriptors closed", func() bool { return openFiles() <= files })
		until(t, "all surfaces unmapped", func() bool { return surfaceMaps() <= maps })
		goleak.VerifyNone(t, ignore)
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

// openFiles counts descriptors, where /proc tells.
func openFiles() int {
	all, _ := os.ReadDir("/proc/self/fd")
	return len(all)
}

// surfaceMaps counts mapped surfaces, ours and those of a stand-in, where /proc
// tells.
func surfaceMaps() int {
	b, _ := os.ReadFile("/proc/self/maps")
	return strings.Count(string(b), "portward-surface") + strings.Count(string(b), "portward-ring") + strings.Count(string(b), "standin-surface")
}
