package capture

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/surface"
)

func buffersFor(g surface.Geometry) []*surface.Buffer {
	buffers := make([]*surface.Buffer, surface.Slots)
	for i := range buffers {
		buffers[i] = &surface.Buffer{Slot: i, Pix: make([]byte, g.Size())}
	}
	return buffers
}

func bind(t *testing.T, s Source) []*surface.Buffer {
	t.Helper()
	buffers := buffersFor(s.Geometry())
	if err := s.Bind(buffers); err != nil {
		t.Fatal(err)
	}
	return buffers
}

func mustFill(t *testing.T, s Source, slot int) surface.Rect {
	t.Helper()
	dirty, err := s.Fill(slot)
	if err != nil {
		t.Fatal(err)
	}
	return dirty.Bounds()
}

// copyRect does what a viewer does with an update.
func copyRect(dst, src []byte, g surface.Geometry, r surface.Rect) {
	for y := r.Y; y < r.Y+r.H; y++ {
		from, to := y*g.Stride+4*r.X, y*g.Stride+4*(r.X+r.W)
		copy(dst[from:to], src[from:to])
	}
}

// Rules: a slot, filled whenever, holds the whole present picture; the
// rectangles alone, applied in order, make it too; the code is never split.
func TestTestcardSlotsAreWhole(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	synctest.Test(t, func(t *testing.T) {
		c := card(t, Options{Width: 600, Height: 120, Session: "1"})
		buffers := bind(t, c)
		viewer := make([]byte, c.geometry.Size())
		for range 500 {
			switch r.IntN(8) {
			case 0:
				c.Invalidate()
			case 1:
				time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
			case 2, 3, 4:
				if err := c.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			default:
				slot := r.IntN(len(buffers))
				dirty := mustFill(t, c, slot)
				want := render(c, c.number)
				if !bytes.Equal(buffers[slot].Pix, want) {
					t.Fatalf("slot %d is not frame %d", slot, c.number)
				}
				copyRect(viewer, buffers[slot].Pix, c.geometry, dirty)
				if !bytes.Equal(viewer, want) {
					t.Fatalf("the rectangles do not make frame %d", c.number)
				}
				code := surface.Rect{W: CodeWidth, H: CodeCell}
				if !dirty.Empty() && dirty.Clip(code) != code {
					t.Fatalf("%v splits the code", dirty)
				}
			}
		}
	})
}

// Rule: drawing a frame touches the head alone.
func TestTestcardIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := card(t, Options{})
		buffers := bind(t, c)
		mustFill(t, c, 0)
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		clear(buffers[0].Pix)
		want := surface.Rect{W: 640, H: HeadHeight}
		if dirty := mustFill(t, c, 0); dirty != want {
			t.Errorf("dirty is %v, want %v", dirty, want)
		}
		body := buffers[0].Pix[HeadHeight*c.geometry.Stride:]
		if !bytes.Equal(body, make([]byte, len(body))) {
			t.Error("the body was drawn again")
		}
	})
}

// Rule: so many frames a second, and none to catch up after a pause.
func TestTestcardKeepsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := card(t, Options{FPS: 25})
		bind(t, c)
		next := func() uint32 {
			if err := c.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			mustFill(t, c, 0)
			return c.number
		}
		if n := next(); n != 1 {
			t.Fatalf("the first frame is %d", n)
		}
		start := time.Now()
		for c.number < 1+250 {
			next()
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("250 frames took %v", took)
		}
		time.Sleep(time.Minute)
		if n := next(); n != 252 {
			t.Errorf("after a pause comes %d", n)
		}
		start = time.Now()
		if next(); time.Since(start) != 40*time.Millisecond {
			t.Errorf("the frame after that came in %v", time.Since(start))
		}
	})
}

// Rules: a static card is drawn once; then Wait blocks until Invalidate, which
// shows the same picture, whole.
func TestTestcardStatic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := card(t, Options{Static: true})
		bind(t, c)
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		whole := c.geometry.Bounds()
		if dirty := mustFill(t, c, 2); dirty != whole {
			t.Errorf("first %v", dirty)
		}
		waited := make(chan error, 1)
		go func() { waited <- c.Wait(t.Context()) }()
		time.Sleep(time.Hour)
		select {
		case err := <-waited:
			t.Fatalf("Wait answered %v for nothing", err)
		default:
		}
		c.Invalidate()
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		if dirty := mustFill(t, c, 0); dirty != whole || c.number != 1 {
			t.Errorf("then %v of frame %d", dirty, c.number)
		}
		if dirty := mustFill(t, c, 0); !dirty.Empty() {
			t.Errorf("nothing happened and %v is dirty", dirty)
		}
	})
}

// Rule: ctx and Close end a Wait; what was closed says so for ever.
func TestTestcardEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := card(t, Options{Static: true})
		bind(t, c)
		mustFill(t, c, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		waited := make(chan error, 1)
		go func() { waited <- c.Wait(t.Context()) }()
		synctest.Wait()
		c.Close()
		if err := <-waited; !errors.Is(err, os.ErrClosed) {
			t.Errorf("Wait during Close: %v", err)
		}
		if _, err := c.Fill(0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Fill after Close: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// Rule: a card that cannot show its number is not made.
func TestTestcardOptionsRefused(t *testing.T) {
	for _, o := range []Options{
		{Width: CodeWidth - 1, Height: 360},
		{Width: 640, Height: 2*HeadHeight - 1},
		{Width: 640},
		{Height: 360},
		{Width: -640, Height: -360},
		{Width: 1 << 30, Height: 360},
		{FPS: -1},
		{FPS: maxFPS + 1},
	} {
		if s, err := OpenTestcard(o); err == nil {
			t.Errorf("%+v: %v", o, s.Geometry())
		}
	}
}

// Rule: buffers that do not fit are refused before anything is drawn.
func TestBindRefused(t *testing.T) {
	c := card(t, Options{})
	small, shuffled := buffersFor(c.geometry), buffersFor(c.geometry)
	small[2].Pix = small[2].Pix[1:]
	shuffled[0].Slot, shuffled[1].Slot = 1, 0
	for name, b := range map[string][]*surface.Buffer{"none": nil, "small": small, "shuffled": shuffled} {
		if err := c.Bind(b); err == nil {
			t.Errorf("%s: bound", name)
		}
	}
	if _, err := c.Fill(0); err == nil {
		t.Error("filled a slot that is not bound")
	}
	bind(t, c)
	for _, slot := range []int{-1, surface.Slots} {
		if _, err := c.Fill(slot); err == nil {
			t.Errorf("filled slot %d", slot)
		}
	}
}

// Rule: people tell sessions apart by colour, and the code from the card.
func TestSessionColour(t *testing.T) {
	seen := map[[3]uint8]string{}
	for _, id := range []string{"1", "2", "3", "c1", ""} {
		r, g, b := SessionColour(id)
		if other, ok := seen[[3]uint8{r, g, b}]; ok {
			t.Errorf("sessions %q and %q look the same", id, other)
		}
		seen[[3]uint8{r, g, b}] = id
		if max(r, g, b)-min(r, g, b) < 100 {
			t.Errorf("session %q is grey: %d %d %d", id, r, g, b)
		}
	}
}
