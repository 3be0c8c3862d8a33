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
	screenLook     = time.Second      // how often the display's mode is looked at

	// screenDepth is how many surfaces the system makes: as many as it does at
	// most, and a consumer takes. Three are out, one is the latest; in the others
	// it draws.
	screenDepth = surface.MaxSlots
)

// A screen lends what ScreenCaptureKit draws.
type screen struct {
	*lending
	display       uint32
	width, height int // of the display's mode
	stream        *macos.SCStream
	look          *time.Ticker
	closing       sync.Once
}

func openMainDisplay(ctx context.Context) (Lender, error) {
	if err := macos.ScreenCaptureAvailable(); err != nil {
		return nil, fmt.Errorf("screen: %w: %w", errors.ErrUnsupported, err)
	}
	s := &screen{lending: newLending(), display: macos.CGMainDisplayID()}
	if s.width, s.height = macos.CGDisplayPixels(s.display); s.width == 0 {
		return nil, fmt.Errorf("screen: %w: there is no display", ErrGone)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, screenPatience, fmt.Errorf("%w: ScreenCaptureKit is silent", ErrGone))
	defer cancel()
	if !macos.CGPreflightScreenCaptureAccess() {
		macos.CGRequestScreenCaptureAccess() // a dialog; whether we may is found out below
	}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("screen: %w", err)
	}
	s.look = time.NewTicker(screenLook)
	return s, nil
}

// open makes the stream, starts it and waits for the first picture.
func (s *screen) open(ctx context.Context) error {
	made := newAnswer()
	macos.SCShareableContent(s.display, func(content macos.Ref, err error) {
		if err == nil {
			s.stream, err = macos.NewSCStream(content, s.display, s.width, s.height, screenDepth, s.sample, s.stopped)
		}
		if !made.give(err) && err == nil {
			s.stream.Release()
		}
	})
	err := made.await(ctx)
	if err != nil {
		return meaning(err)
	}
	started := newAnswer()
	s.stream.Start(func(err error) { started.give(err) })
	if err = started.await(ctx); err == nil {
		err = s.begun(ctx)
	}
	if err != nil {
		s.Close()
		return meaning(err)
	}
	return nil
}

// sample takes a picture from a thread of the library's. As long as its buffer is
// held, the system does not draw into its surface.
func (s *screen) sample(buffer macos.Ref) {
	f := macos.SCFrameOf(buffer)
	if f.Surface == 0 {
		return
	}
	g, err := surface.IOSurfaceGeometry(f.Surface)
	if err == nil && (g.Width != s.width || g.Height != s.height) {
		err = fmt.Errorf("a picture of %v for a display of %dx%d", g, s.width, s.height)
	}
	if err != nil {
		s.end(fmt.Errorf("%w: the system draws what nobody can take: %w", ErrGone, err))
		return
	}
	macos.CFRetain(buffer)
	s.show(surface.LendIOSurface(f.Surface, func() { macos.CFRelease(buffer) }), g, dirty(f, g))
}

// dirty is what changed, in whole pixels.
func dirty(f macos.SCFrame, g surface.Geometry) surface.Region {
	if !f.Known {
		return surface.RegionOf(g.Bounds())
	}
	var all surface.Region
	for _, r := range f.Dirty {
		all = all.Add(pixels(r).Clip(g.Bounds()))
	}
	return all
}

// pixels rounds outwards. What is no number is everything.
func pixels(r macos.CGRect) surface.Rect {
	const most = 1 << 20
	clamp := func(v float64) int { return int(min(max(v, -most), most)) }
	right, below := r.X+r.W, r.Y+r.H
	if math.IsNaN(right) || math.IsNaN(below) {
		return surface.Rect{X: -most, Y: -most, W: 2 * most, H: 2 * most}
	}
	x, y := clamp(math.Floor(r.X)), clamp(math.Floor(r.Y))
	return surface.Rect{X: x, Y: y, W: clamp(math.Ceil(right)) - x, H: clamp(math.Ceil(below)) - y}
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
	case w != s.width || h != s.height:
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
