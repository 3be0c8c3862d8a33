package capture

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"portward/internal/capture/capturetest"
	"portward/internal/surface"
)

// A viewer sees nothing but the rectangles that Fill answers.
type viewer struct {
	s       *screen
	buffers []*surface.Buffer
	seen    []byte
}

func newViewer(s *screen, buffers []*surface.Buffer) *viewer {
	return &viewer{s, buffers, make([]byte, s.Geometry().Size())}
}

// look fills the slot and takes over what changed.
func (v *viewer) look(slot int) error {
	dirty, err := v.s.Fill(slot)
	for _, r := range dirty.Rects() {
		copyRect(v.seen, v.buffers[slot].Pix, v.s.Geometry(), r)
	}
	return err
}

// follow looks, at slots in turn, until it sees want.
func (v *viewer) follow(ctx context.Context, want []byte) error {
	for slot := 0; !bytes.Equal(v.seen, want); slot = (slot + 1) % len(v.buffers) {
		if err := v.s.Wait(ctx); err != nil {
			return err
		}
		if err := v.look(slot); err != nil {
			return err
		}
	}
	return nil
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Rules: real pixels arrive in every slot's memfd; the rectangles make the
// picture; a slot filled late is whole.
func TestX11Pixels(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	p := newPainter(t, x)
	p.paint(surface.Rect{X: 5, Y: 6, W: 7, H: 8}, 0x123456) // before anybody looks
	s, buffers := openScreen(t, x.Display)
	if g, want := s.Geometry(), (surface.Geometry{Width: 640, Height: 480, Stride: 2560, Format: surface.FormatBGRX}); g != want {
		t.Fatalf("geometry %v", g)
	}
	v := newViewer(s, buffers)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		for range r.IntN(5) {
			p.paint(surface.Rect{X: r.IntN(700) - 30, Y: r.IntN(500) - 10, W: 1 + r.IntN(90), H: 1 + r.IntN(40)}, r.Uint32()&0xffffff)
		}
		want := p.picture(s.Geometry())
		if err := v.follow(patient(t), want); err != nil {
			t.Fatal(err)
		}
		slot := r.IntN(len(buffers))
		if err := v.look(slot); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(buffers[slot].Pix, want) {
			t.Fatalf("slot %d is not what the server shows", slot)
		}
	}
}

// Rule: blue is the first byte, as FormatBGRX says.
func TestX11ByteOrder(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	newPainter(t, x).paint(surface.Rect{X: 10, Y: 20, W: 1, H: 1}, 0x112233)
	s, buffers := openScreen(t, x.Display)
	mustFill(t, s, 1)
	at := 20*s.Geometry().Stride + 10*4
	if got := buffers[1].Pix[at-4 : at+8]; !bytes.Equal(got[4:7], []byte{0x33, 0x22, 0x11}) || got[0] != 0 || got[8] != 0 {
		t.Errorf("around the pixel: % x", got)
	}
}

// Rules: only what changed is reported and fetched; a still screen keeps Wait
// waiting; Invalidate wakes it with the whole.
func TestX11ChangesOnly(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	p := newPainter(t, x)
	s, buffers := openScreen(t, x.Display)
	for slot := range buffers {
		mustFill(t, s, slot)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("nothing changed: %v", err)
	}
	clear(buffers[0].Pix)
	changed := surface.Rect{X: 100, Y: 200, W: 30, H: 40}
	p.paint(changed, 0xffffff)
	if err := s.Wait(patient(t)); err != nil {
		t.Fatal(err)
	}
	if dirty := mustFill(t, s, 0); dirty != changed {
		t.Errorf("dirty %v, want %v", dirty, changed)
	}
	fetched := func(y int) bool { row := buffers[0].Pix[y*2560:]; return row[100*4] != 0 }
	if fetched(199) || !fetched(200) || !fetched(239) || fetched(240) {
		t.Error("the rows 200 to 239 are not what was fetched")
	}
	s.Invalidate()
	if err := s.Wait(patient(t)); err != nil {
		t.Fatal(err)
	}
	if dirty := mustFill(t, s, 0); dirty != s.Geometry().Bounds() {
		t.Errorf("after Invalidate: %v", dirty)
	}
}

// Rule: of two distant changes both are fetched, and no row between them.
func TestX11DistantChanges(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	p := newPainter(t, x)
	s, buffers := openScreen(t, x.Display)
	for slot := range buffers {
		mustFill(t, s, slot)
	}
	for i := range buffers[2].Pix {
		buffers[2].Pix[i] = 7
	}
	above, below := surface.Rect{X: 500, Y: 10, W: 8, H: 8}, surface.Rect{X: 3, Y: 450, W: 8, H: 8}
	p.paint(above, 0xffffff)
	p.paint(below, 0xffffff)
	var dirty surface.Region
	for want := surface.RegionOf(above, below); dirty != want; {
		if err := s.Wait(patient(t)); err != nil {
			t.Fatalf("%v is dirty: %v", dirty, err)
		}
		more, err := s.Fill(2)
		if err != nil {
			t.Fatal(err)
		}
		dirty = dirty.Union(more)
	}
	for y := range s.Geometry().Height {
		drawn := y >= 10 && y < 18 || y >= 450 && y < 458
		if fetched := buffers[2].Pix[y*2560+4*300] != 7; fetched != drawn {
			t.Errorf("row %d is fetched: %v", y, fetched)
		}
	}
}

// Rule: a source can be given other buffers; the old ones are left alone.
func TestX11BindAgain(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	p := newPainter(t, x)
	s, old := openScreen(t, x.Display)
	mustFill(t, s, 0)
	chain, err := surface.NewChain(s.Geometry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chain.Close() })
	if err := s.Bind(chain.Buffers()); err != nil {
		t.Fatal(err)
	}
	p.paint(s.Geometry().Bounds(), 0x808080)
	if dirty := mustFill(t, s, 0); dirty != s.Geometry().Bounds() {
		t.Errorf("dirty %v", dirty)
	}
	if !bytes.Equal(chain.Buffers()[0].Pix, p.picture(s.Geometry())) || old[0].Pix[0] != 0 {
		t.Error("the picture is not in the new buffers alone")
	}
}

// Rule: servers with codes of their own for the same extensions are captured
// side by side, each with its own pixels.
func TestX11ThreeAtOnce(t *testing.T) {
	checkLeaks(t)
	var all sync.WaitGroup
	for i, args := range [][]string{nil, {"-extension", "RANDR"}, {"-extension", "RENDER"}} {
		x := capturetest.Xvfb(t, args...)
		p := newPainter(t, x)
		all.Go(func() {
			s, err := OpenX11(t.Context(), x.Display)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			chain, err := surface.NewChain(s.Geometry())
			if err != nil {
				t.Error(err)
				return
			}
			defer chain.Close()
			if err := s.Bind(chain.Buffers()); err != nil {
				t.Error(err)
				return
			}
			v := newViewer(s.(*screen), chain.Buffers())
			for n := range 10 {
				p.paint(surface.Rect{X: 20 * n, Y: 30 * i, W: 50, H: 60}, uint32(i+1)*0x202020+uint32(n))
				if err := v.follow(patient(t), p.picture(s.Geometry())); err != nil {
					t.Errorf("server %d, round %d: %v", i, n, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Rule: a flood of drawing is merged: at most sixty answers a second, whatever
// the machine.
func TestX11Pace(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	s, _ := openScreen(t, x.Display)
	start := time.Now()
	const rounds = 12
	for range rounds {
		s.Invalidate()
		if err := s.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustFill(t, s, 0)
	}
	if took := time.Since(start); took < (rounds-1)*pace {
		t.Errorf("%d rounds took %v", rounds, took)
	}
}
