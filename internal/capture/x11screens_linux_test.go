package capture

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"portward/internal/capture/capturetest"
	"portward/internal/surface"
)

// Rules: a server says how many screens it has, by whichever of them it is named,
// and shows no more; each is captured as a source of its own, with its own size and pixels, side by
// side; the pointer is on one of them at a time.
func TestX11TwoScreens(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t, "-screen", "1", "320x200x24")
	for _, name := range []string{x.Display, x.Display + ".1", x.Socket() + ".0"} {
		if n, err := X11Screens(t.Context(), name); err != nil || n != 2 {
			t.Fatalf("%s has %d screens, %v", name, n, err)
		}
	}
	if _, err := OpenX11(t.Context(), x.Display+".2"); !errors.Is(err, ErrNoScreen) {
		t.Fatalf("a third screen: %v", err)
	}
	m := pointerOf(20, 20, 0xffc0c0c0)
	var painters []*painter
	var viewers []*viewer
	for screen, colour := range []uint32{0x204060, 0x602040} {
		p := newPainterOn(t, x, screen)
		p.point(m)
		p.paint(surface.Rect{W: 640, H: 480}, colour)
		name, err := X11Screen(x.Socket(), screen)
		if err != nil {
			t.Fatal(err)
		}
		painters, viewers = append(painters, p), append(viewers, newViewer(openScreen(t, name)))
	}
	if a, b := viewers[0].s.Geometry(), viewers[1].s.Geometry(); a.Width != 640 || b.Width != 320 || b.Height != 200 {
		t.Fatalf("screens of %v and %v", a, b)
	}
	for _, on := range []int{0, 1, 0} {
		painters[on].warp(100, 50) // a mouse of XTEST keeps its screen
		for screen, v := range viewers {
			want := painters[screen].picture(v.s.Geometry())
			if screen == on {
				want = m.over(want, v.s.Geometry(), 100, 50)
			}
			if err := v.follow(patient(t), want); err != nil {
				t.Fatalf("pointer on %d, screen %d: %v", on, screen, err)
			}
		}
	}
}

// Rule: who cannot be asked for screens is told apart as by OpenX11.
func TestX11ScreensRefused(t *testing.T) {
	checkLeaks(t)
	if _, err := X11Screens(t.Context(), "example.org:0"); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("another machine's: %v", err)
	}
	if _, err := X11Screens(t.Context(), filepath.Join(t.TempDir(), "X")); !errors.Is(err, ErrGone) {
		t.Errorf("nobody there: %v", err)
	}
	x := capturetest.Xvfb(t)
	x.Freeze()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := X11Screens(ctx, x.Display); !errors.Is(err, ErrGone) {
		t.Errorf("cancelled: %v", err)
	}
}

// Rules: while somebody draws, the monitor of a real server is switched through
// larger and smaller sizes, and a second one comes and goes; each time the source
// ends with ErrGeometry and nothing else; the source that is opened next shows the
// new size, whole, both monitors as one picture.
func TestX11ModeChanges(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xorg(t)
	p := newPainter(t, x)
	s, buffers := openScreen(t, x.Display)
	mode := func(w, h int) func() { return func() { x.Mode(w, h) } }
	for round, c := range []struct {
		change        func()
		width, height int
	}{
		{mode(1024, 768), 1024, 768}, {mode(640, 480), 640, 480}, {x.Plug, 1280, 480}, {x.Unplug, 640, 480},
		{mode(1920, 1080), 1920, 1080}, {mode(800, 600), 800, 600},
	} {
		over := make(chan error, 1)
		go func() { over <- watch(patient(t), s, len(buffers), p) }()
		c.change()
		if err := <-over; !errors.Is(err, ErrGeometry) || errors.Is(err, ErrGone) {
			t.Fatalf("to %dx%d: %v", c.width, c.height, err)
		}
		s.Close()
		s, buffers = openScreen(t, x.Display)
		if g := s.Geometry(); g.Width != c.width || g.Height != c.height {
			t.Fatalf("to %dx%d: opened with %v", c.width, c.height, g)
		}
		p.paint(s.Geometry().Bounds(), uint32(round+1)*0x203040)
		want := p.picture(s.Geometry())
		if err := newViewer(s, buffers).follow(patient(t), want); err != nil {
			t.Fatalf("to %dx%d: %v", c.width, c.height, err)
		}
		if corner := want[len(want)-4:][:3]; bytes.Equal(corner, make([]byte, 3)) {
			t.Fatalf("to %dx%d: nothing is drawn at the far corner", c.width, c.height)
		}
	}
}

// watch shows a screen that is drawn on until it ends.
func watch(ctx context.Context, s *screen, slots int, p *painter) error {
	for n := 0; ; n++ {
		p.paint(surface.Rect{X: n % 600, Y: n % 400, W: 30, H: 30}, uint32(n))
		if err := s.Wait(ctx); err != nil {
			return err
		}
		if _, err := s.Fill(n % slots); err != nil {
			return err
		}
	}
}
