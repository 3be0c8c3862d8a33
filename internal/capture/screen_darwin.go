package capture

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"portward/internal/macos"
	"portward/internal/surface"
)

const (
	screenPatience = 10 * time.Second // for anything the system is asked for
	screenDepth    = 5                // pictures on the way; one is ours, and one more while it is replaced
	screenLook     = time.Second      // how often the display's mode is looked at
)

// A screen is a mirror of what ScreenCaptureKit draws.
type screen struct {
	*mirror
	display uint32
	stream  *macos.SCStream
	look    *time.Ticker
	first   chan struct{} // closed by the first picture
	begun   sync.Once
	closing sync.Once
}

func openMainDisplay(ctx context.Context) (Source, error) {
	if err := macos.ScreenCaptureAvailable(); err != nil {
		return nil, fmt.Errorf("screen: %w: %w", errors.ErrUnsupported, err)
	}
	display := macos.CGMainDisplayID()
	g, err := displayGeometry(display)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, screenPatience, fmt.Errorf("%w: ScreenCaptureKit is silent", ErrGone))
	defer cancel()
	if !macos.CGPreflightScreenCaptureAccess() {
		macos.CGRequestScreenCaptureAccess() // a dialog; whether we may is found out below
	}
	s := &screen{mirror: newMirror(g), display: display, first: make(chan struct{})}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("screen: %w", err)
	}
	s.look = time.NewTicker(screenLook)
	return s, nil
}

// displayGeometry has a stride that suits copies; the system's may be longer.
func displayGeometry(display uint32) (surface.Geometry, error) {
	w, h := macos.CGDisplayPixels(display)
	g := surface.Geometry{Width: w, Height: h, Stride: (w*surface.BytesPerPixel + 63) &^ 63, Format: surface.FormatBGRX}
	if w == 0 {
		return g, fmt.Errorf("%w: there is no display", ErrGone)
	}
	return g, g.Check()
}

// open makes the stream, starts it and waits for the first picture.
func (s *screen) open(ctx context.Context) error {
	made := make(chan error, 1)
	macos.SCShareableContent(s.display, func(content macos.Ref, err error) {
		var stream *macos.SCStream
		if err == nil {
			stream, err = macos.NewSCStream(content, s.display, s.geometry.Width, s.geometry.Height, screenDepth, s.sample, s.stopped)
		}
		s.stream = stream
		made <- err
	})
	err := await(ctx, made, func(err error) {
		if err == nil {
			s.stream.Release()
		}
	})
	if err != nil {
		return meaning(err)
	}
	started := make(chan error, 1)
	s.stream.Start(func(err error) { started <- err })
	if err = await(ctx, started, nil); err == nil {
		err = s.firstPicture(ctx)
	}
	if err != nil {
		s.Close()
		return meaning(err)
	}
	return nil
}

func (s *screen) firstPicture(ctx context.Context) error {
	select {
	case <-s.first:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sample takes a picture from a thread of the library's.
func (s *screen) sample(buffer macos.Ref) {
	f := macos.SCFrameOf(buffer)
	if f.Surface == 0 {
		return
	}
	layout := macos.IOSurfaceGetLayout(f.Surface)
	w, h, stride := uint64(s.geometry.Width), uint64(s.geometry.Height), layout.BytesPerRow
	if layout.Width < w || layout.Height < h || stride < w*surface.BytesPerPixel || stride > math.MaxInt32 || stride*h > layout.AllocSize {
		s.end(fmt.Errorf("%w: the system draws %dx%d", ErrGeometry, layout.Width, layout.Height))
		return
	}
	s.show(&sampled{buffer: macos.CFRetain(buffer), surface: f.Surface, stride: int(stride), rows: s.geometry.Height}, s.dirty(f))
	s.begun.Do(func() { close(s.first) })
}

// dirty is what changed, in whole pixels.
func (s *screen) dirty(f macos.SCFrame) surface.Region {
	if !f.Known {
		return surface.RegionOf(s.geometry.Bounds())
	}
	var all surface.Region
	for _, r := range f.Dirty {
		all = all.Add(pixels(r).Clip(s.geometry.Bounds()))
	}
	return all
}

// pixels rounds outwards. What is no number is everything.
func pixels(r macos.CGRect) surface.Rect {
	const most = 1 << 20
	clamp := func(v float64) int { return int(min(max(v, -most), most)) }
	if math.IsNaN(r.X) || math.IsNaN(r.Y) || math.IsNaN(r.W) || math.IsNaN(r.H) {
		return surface.Rect{X: -most, Y: -most, W: 2 * most, H: 2 * most}
	}
	x, y := clamp(math.Floor(r.X)), clamp(math.Floor(r.Y))
	return surface.Rect{X: x, Y: y, W: clamp(math.Ceil(r.X+r.W)) - x, H: clamp(math.Ceil(r.Y+r.H)) - y}
}

// stopped is the end of the stream that nobody here asked for.
func (s *screen) stopped(err error) {
	if err == nil {
		err = ErrGone
	}
	s.end(meaning(err))
}

// meaning is what an error of the system's is to us.
func meaning(err error) error {
	var e *macos.NSError
	switch {
	case !errors.As(err, &e):
		return err
	case e.Domain != macos.SCStreamErrorDomain:
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	switch e.Code {
	case macos.SCStreamErrorUserDeclined, macos.SCStreamErrorMissingEntitlements:
		return fmt.Errorf("%w: in System Settings > Privacy & Security > Screen & System Audio Recording, turn this program on: %w", ErrPermission, err)
	case macos.SCStreamErrorUserStopped:
		return fmt.Errorf("%w: somebody ended the recording in the menu bar: %w", ErrPermission, err)
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}

// Wait looks at the display's mode now and then: the stream does not tell, it
// scales.
func (s *screen) Wait(ctx context.Context) error { return s.wait(ctx, s.look.C, s.checkMode) }

func (s *screen) checkMode() {
	w, h := macos.CGDisplayPixels(s.display)
	switch {
	case s.display != macos.CGMainDisplayID() || w == 0:
		s.end(fmt.Errorf("%w: it is not the main one any more", ErrGone))
	case w != s.geometry.Width || h != s.geometry.Height:
		s.end(ErrGeometry)
	}
}

// Close waits for the stream's end, but not for ever: then it is left to itself.
func (s *screen) Close() error {
	s.closing.Do(func() {
		s.end(os.ErrClosed)
		if s.look != nil {
			s.look.Stop()
		}
		ended := make(chan struct{})
		s.stream.Stop(func(error) { close(ended) })
		select {
		case <-ended:
			s.stream.Release()
		case <-time.After(screenPatience):
		}
	})
	return nil
}

// A sampled picture lives as long as its sample buffer is held.
type sampled struct {
	buffer, surface macos.Ref
	stride, rows    int
}

func (p *sampled) lock() ([]byte, int, error) {
	pix, err := macos.IOSurfaceLock(p.surface, macos.IOSurfaceLockReadOnly, p.stride*p.rows)
	return pix, p.stride, err
}

func (p *sampled) unlock() { macos.IOSurfaceUnlock(p.surface, macos.IOSurfaceLockReadOnly) }

func (p *sampled) release() { macos.CFRelease(p.buffer) }
