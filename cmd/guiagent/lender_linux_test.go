package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"portward/internal/surface"
	"portward/internal/surface/surfacetest"
	"portward/internal/wire"
)

var lentGeometry = surface.Geometry{Width: 32, Height: 8, Stride: 192, Format: surface.FormatBGRX}

// A pool is a Lender whose surfaces show themselves one by one, as a system's
// do: a picture is drawn into one that is not out, with a mark that rises.
type pool struct {
	t *testing.T

	mu       sync.Mutex
	surfaces []*pooled
	mark     uint32
	out      int
}

// A pooled surface is a sealed memfd.
type pooled struct {
	p    *pool
	id   uint64
	file *os.File
	out  atomic.Bool
}

func newPool(t *testing.T, n int) *pool {
	t.Helper()
	p := &pool{t: t}
	for i := range n {
		p.surfaces = append(p.surfaces, &pooled{p: p, id: uint64(i), file: surfacetest.Memory(t, lentGeometry.Size())})
	}
	return p
}

func (p *pool) Geometry() surface.Geometry { return lentGeometry }
func (p *pool) Invalidate()                {}
func (p *pool) Close() error               { return nil }

func (p *pool) Wait(ctx context.Context) error { return ctx.Err() }

// Lend draws into one surface after the other.
func (p *pool) Lend() (surface.Lent, surface.Region, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.surfaces {
		p.mark++
		s := p.surfaces[int(p.mark)%len(p.surfaces)]
		if s.out.CompareAndSwap(false, true) {
			_, err := s.file.WriteAt(binary.LittleEndian.AppendUint32(nil, p.mark), 0)
			p.out++
			return s, surface.RegionOf(lentGeometry.Bounds()), err
		}
	}
	return nil, surface.Region{}, errors.New("all surfaces are out")
}

func (s *pooled) ID() uint64 { return s.id }

func (s *pooled) Handle() wire.Handle {
	fd, err := unix.FcntlInt(s.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		s.p.t.Error(err)
	}
	return wire.Surface(os.NewFile(uintptr(fd), "pool"))
}

func (s *pooled) Release() {
	if !s.out.CompareAndSwap(true, false) {
		s.p.t.Error("released twice")
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.out--
}

func (p *pool) isOut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out
}

// Rule: surfaces that the system draws into are handed on as they are, each once
// to each netchild, as they come; a new netchild gets all that are known.
func TestLentSurfacesAreHandedOn(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	a, p := newAgent(t), newPool(t, 5)
	a.log = func(string, ...any) {}
	var last, frames atomic.Uint32
	s := &service{t: t, shown: func(f surface.Frame) {
		if m := binary.LittleEndian.Uint32(f.Pix); m <= last.Load() || f.Geometry != lentGeometry {
			t.Errorf("frame %d of %v shows %d after %d", f.Seq, f.Geometry, m, last.Load())
		} else {
			last.Store(m)
		}
		frames.Add(1)
	}}
	s.open(a)
	stop, _ := showingOf(t, a, p)
	await(t, "frames come", func() bool { return frames.Load() > 100 })
	s.mu.Lock()
	if s.attaches != 1 || s.carried[0] != 1 || s.adds != 4 {
		t.Errorf("%d attaches, of %v surfaces, and %d added", s.attaches, s.carried, s.adds)
	}
	s.mu.Unlock()
	before := frames.Load()
	s.drop()
	await(t, "frames come back", func() bool { return frames.Load() > before+100 })
	stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attaches != 2 || s.carried[1] != 5 || s.adds != 4 {
		t.Errorf("%d attaches, of %v surfaces, and %d added", s.attaches, s.carried, s.adds)
	}
	if n := p.isOut(); n != 0 {
		t.Errorf("%d pictures are held after the end", n)
	}
}

// Rule: one surface more than netchild takes ends the display: it is opened anew,
// with a relay of its own.
func TestTooManyLentSurfaces(t *testing.T) {
	a, p := newAgent(t), newPool(t, surface.MaxSlots+1)
	(&service{t: t}).open(a)
	stop, ended := showingOf(t, a, p)
	if err := <-ended; !errors.Is(err, surface.ErrFull) {
		t.Errorf("it ended by %v", err)
	}
	stop()
	if n := p.isOut(); n != 0 {
		t.Errorf("%d pictures are held after the end", n)
	}
}
