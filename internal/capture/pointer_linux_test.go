package capture

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"portward/internal/capture/capturetest"
	"portward/internal/surface"
)

// Rule: alpha 0 leaves the picture, 255 replaces it, and between them both count;
// colours brighter than their alpha do not wrap round; the fourth byte is left.
func TestBlend(t *testing.T) {
	for src, want := range map[uint32][4]byte{
		0:          {10, 20, 30, 77},
		0xff010203: {3, 2, 1, 77},
		0xff000000: {0, 0, 0, 77},
		0x80000000: {5, 10, 15, 77},
		0x80402010: {16 + 5, 32 + 10, 64 + 15, 77},
		0x00ffffff: {255, 255, 255, 77},
		0x40ffffff: {255, 255, 255, 77},
	} {
		got := []byte{10, 20, 30, 77}
		if blend(got, []uint32{src}); [4]byte(got) != want {
			t.Errorf("%08x: %v, want %v", src, got, want)
		}
	}
}

// Rule: a pointer is drawn on the rows that it is given alone, and where it hangs
// over an edge, the part inside.
func TestPointerDrawOn(t *testing.T) {
	const w, h = 20, 10
	g := surface.Geometry{Width: w, Height: h, Stride: 4 * (w + 3), Format: surface.FormatBGRX}
	m := pointerOf(6, 4, 0xffffffff)
	for _, at := range []surface.Rect{{X: 5, Y: 3}, {X: -2, Y: -1}, {X: 17, Y: 8}, {X: -9, Y: 4}, {X: 4, Y: 30}} {
		p := &pointer{image: sprite{w: 6, h: 4, pixels: m.pixels}, place: surface.Rect{X: at.X, Y: at.Y, W: 6, H: 4}}
		for _, rows := range []surface.Rect{g.Bounds(), {Y: 4, W: w, H: 2}, {Y: 0, W: w, H: 1}} {
			pix := make([]byte, g.Size())
			p.drawOn(pix, g, rows)
			part := p.place.Clip(rows)
			for i := range g.Size() / 4 {
				x, y := i%(w+3), i/(w+3)
				inside := surface.Rect{X: x, Y: y, W: 1, H: 1}.Clip(part) != surface.Rect{}
				if drawn := pix[4*i] != 0; drawn != inside {
					t.Fatalf("at %v on %v: pixel %d,%d is drawn: %v", at, rows, x, y, drawn)
				}
			}
		}
	}
}

// Rule: the pointer is part of the picture, blended as its alpha says, where it is
// when it is looked at first, where a hand or a program puts it, half over an
// edge, and when it changes; where it was it leaves nothing; every slot has it.
func TestX11Pointer(t *testing.T) {
	for name, start := range realServers {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			followPointer(t, start(t))
		})
	}
}

var realServers = map[string]func(t *testing.T) *capturetest.Server{
	"Xvfb":           func(t *testing.T) *capturetest.Server { return capturetest.Xvfb(t) },
	"Xvfb untold":    func(t *testing.T) *capturetest.Server { return capturetest.Xvfb(t, "-extension", "XInputExtension") },
	"Xorg and dummy": func(t *testing.T) *capturetest.Server { return capturetest.Xorg(t) },
}

func followPointer(t *testing.T, x *capturetest.Server) {
	p := newPainter(t, x)
	p.paint(surface.Rect{W: 640, H: 480}, 0x406080)
	m := pointerOf(24, 16, 0x80604020)
	p.point(m)
	p.warp(100, 100)
	s, buffers := openScreen(t, x.Display)
	v := newViewer(s, buffers)
	see := func(what string, px, py int) {
		t.Helper()
		want := m.over(p.picture(s.Geometry()), s.Geometry(), px, py)
		if err := v.follow(patient(t), want); err != nil {
			t.Fatalf("%s: %v, pointer at %v, asked since %v", what, err, s.pointer.place, time.Since(s.pointer.asked))
		}
		for slot := range buffers {
			if err := v.look(slot); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(buffers[slot].Pix, want) {
				t.Fatalf("%s: slot %d is another picture", what, slot)
			}
		}
	}
	see("at first", 100, 100)
	for _, to := range [][2]int{{103, 101}, {300, 200}, {639, 479}, {0, 0}} {
		p.steer(to[0], to[1])
		see("steered", to[0], to[1])
	}
	p.warp(320, 7)
	see("warped", 320, 7)
	m = pointerOf(9, 31, 0x90304050)
	p.point(m)
	see("another image", 320, 7)
	p.paint(surface.Rect{X: 310, Y: 3, W: 4, H: 5}, 0xffffff)
	see("drawn beneath it", 320, 7)
	m = pointerOf(1, 1, 0)
	p.hide()
	see("hidden", 320, 7)
}

// Rule: a pointer that moves makes damage where it was and where it is, no more.
func TestX11PointerDamage(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	p := newPainter(t, x)
	p.point(pointerOf(10, 10, 0xff00ff00))
	p.warp(50, 50)
	s, _ := openScreen(t, x.Display)
	mustFill(t, s, 0)
	p.steer(500, 400)
	if err := s.Wait(patient(t)); err != nil {
		t.Fatal(err)
	}
	dirty, err := s.Fill(1)
	if err != nil {
		t.Fatal(err)
	}
	if want := surface.RegionOf(surface.Rect{X: 45, Y: 45, W: 10, H: 10}, surface.Rect{X: 495, Y: 395, W: 10, H: 10}); dirty != want {
		t.Errorf("dirty %v, want %v", dirty, want)
	}
}

// Rule: motion that leads nowhere makes no frames.
func TestX11PointerShakes(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	p := newPainter(t, x)
	p.point(pointerOf(10, 10, 0xff00ff00))
	p.steer(5, 5)
	s, _ := openScreen(t, x.Display)
	mustFill(t, s, 0)
	short, cancel := context.WithTimeout(t.Context(), 4*pace)
	defer cancel()
	for range 5 {
		p.steer(5, 5)
	}
	if err := s.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the pointer stayed: %v", err)
	}
}

// Rules: a calm pointer is asked for once a second, and not at all while nobody
// waits; a server that can tells of its next motion.
func TestX11PointerRests(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	p := newPainter(t, x)
	s, _ := openScreen(t, x.Display)
	mustFill(t, s, 0)
	if s.pointer.rest() != pace {
		t.Errorf("a new pointer is asked for after %v", s.pointer.rest())
	}
	for s.pointer.rest() == pace {
		short, cancel := context.WithTimeout(t.Context(), calmAfter)
		err := s.Wait(short)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		mustFill(t, s, 0)
	}
	if s.pointer.rest() != askTold {
		t.Errorf("a calm one is asked for after %v", s.pointer.rest())
	}
	asked := s.pointer.asked
	p.steer(9, 9)
	eventually(t, "nobody tells of motion", s.pointer.stirred.Load)
	if s.pointer.asked != asked {
		t.Error("it was asked for although nobody waits")
	}
}

// Rule: a server without XFIXES is captured without its pointer.
func TestX11PointerUnknown(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t, "-extension", "XFIXES")
	p := newPainter(t, x)
	p.point(pointerOf(10, 10, 0xff00ff00))
	s, buffers := openScreen(t, x.Display)
	p.steer(7, 7)
	if err := newViewer(s, buffers).follow(patient(t), p.picture(s.Geometry())); err != nil {
		t.Fatal(err)
	}
}
