package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cenkalti/backoff/v4"

	"portward/internal/capture"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/surface"
	"portward/internal/xpcpeer"
)

// lostWithin is how long the connection may take to say why the frames' channel
// was lost: a goodbye on it may be read later than the channel's end.
const lostWithin = time.Second

// barredFor is how long an agent that may not record the screen waits before it
// ends, so that its job starts another one: what a person allows meanwhile is
// often true for processes only that start afterwards.
const barredFor = time.Minute

// Why a stretch of streaming ended, where the next step differs.
var (
	errRelaunch = errors.New("netchild speaks no version of ours")
	errIdle     = errors.New("netchild went idle")
)

// newPatience answers the pauses between attempts that failed.
func newPatience() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(0),
	)
}

// stream shows the displays that open answers to netchild until ctx ends,
// whatever dies meanwhile: the display, its geometry, or netchild.
func (a *agent) stream(ctx context.Context, open func(context.Context) (capture.Picture, error)) (int, error) {
	patience := newPatience()
	for ctx.Err() == nil {
		src, err := open(ctx)
		a.displays(err)
		if err == nil {
			patience.Reset()
			err = a.show(ctx, src)
			src.Close()
			a.displays(err)
		}
		switch {
		case ctx.Err() != nil:
			return program.ExitOK, nil
		case errors.Is(err, errRelaunch), errors.Is(err, capture.ErrNoScreen):
			return program.ExitAgain, err
		case errors.Is(err, capture.ErrGeometry):
			continue
		}
		a.log("display: %v", err)
		if errors.Is(err, capture.ErrPermission) {
			return a.barred(ctx)
		}
		pause(ctx, patience.NextBackOff())
	}
	return program.ExitOK, nil
}

// displays notes what stands between the display and this agent: nil, nothing.
func (a *agent) displays(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.display = err
}

// barred gives a person some time, and ends for the next agent.
func (a *agent) barred(ctx context.Context) (int, error) {
	pause(ctx, barredFor)
	if ctx.Err() != nil {
		return program.ExitOK, nil
	}
	return program.ExitAgain, nil // why was said
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// openSource opens what this login shows: PORTWARD_SOURCE is testcard, static,
// x11, screen (the main display, of a Mac) or, by default, auto. That is X11 where
// DISPLAY answers, and then stays X11: a display that goes away is waited for;
// elsewhere the screen; and the test card on systems that have no such thing.
func (a *agent) openSource(ctx context.Context) (capture.Picture, error) {
	display := os.Getenv("DISPLAY")
	kind := os.Getenv("PORTWARD_SOURCE")
	if a.sawX11 {
		kind = "x11"
	}
	switch kind {
	case "x11":
		return a.openX11(ctx, display)
	case "", "auto":
		if display != "" && capture.Answers(display) {
			a.sawX11 = true
			return a.openX11(ctx, display)
		}
		screen, err := capture.OpenMainDisplay(ctx)
		if !errors.Is(err, errors.ErrUnsupported) {
			return screen, err
		}
		fallthrough
	case "testcard", "static":
		return capture.OpenTestcard(capture.Options{Session: a.p.Session, Static: kind == "static"})
	case "screen":
		return capture.OpenMainDisplay(ctx)
	default:
		return nil, fmt.Errorf("PORTWARD_SOURCE is %q, want auto, testcard, static, x11 or screen", kind)
	}
}

// setSource notes what is shown now, for those who want a whole picture of it.
func (a *agent) setSource(src capture.Picture) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.source = src
}

// show streams src until that ends or netchild asks for a newer agent.
func (a *agent) show(ctx context.Context, src capture.Picture) error {
	d, err := newDisplay(src, a.loop, a.released)
	if err != nil {
		return err
	}
	defer d.surfaces.Close()
	a.setSource(src)
	defer a.setSource(nil)
	link := &link{a: a}
	defer link.close()
	patience := newPatience()
	for ctx.Err() == nil {
		before := a.frames.Load()
		err := a.showOnce(ctx, d, link)
		a.broken()
		switch {
		case isOver(err):
			return err
		case errors.Is(err, errIdle):
			a.log("netchild is idle; waiting until it is up again")
			a.awaitUp(ctx, link.life)
			continue
		case errors.Is(err, xpcpeer.ErrInterrupted), errors.Is(err, surface.ErrLost):
			if a.frames.Load() > before {
				patience.Reset()
				continue // its successor is a redial away
			}
		case ctx.Err() == nil && a.lacksPayload():
			if a.awaitPayload(ctx) {
				patience.Reset()
				continue
			}
		}
		if ctx.Err() == nil {
			a.log("netchild: %v%s", err, a.payload())
			pause(ctx, patience.NextBackOff())
		}
	}
	return ctx.Err()
}

// isOver says whether err ends a display: it takes another one, or another agent.
func isOver(err error) bool {
	for _, end := range []error{errRelaunch, capture.ErrGone, capture.ErrGeometry, capture.ErrPermission, surface.ErrFull} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// payload says what the supervisor's status knows about a missing netchild.
func (a *agent) payload() string {
	st, err := status.Read(program.StatusPath(a.p.Root))
	if err != nil {
		return ""
	}
	if st.NetChild.State != status.Up {
		return fmt.Sprintf(" (%s: %s)", st.NetChild.State, st.NetChild.Reason)
	}
	return ""
}

// awaitUp waits until the status file shows another life than the one that went
// idle: not a later one, as numbers may begin again with another supervisor.
func (a *agent) awaitUp(ctx context.Context, life uint64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news, err := status.Watch(ctx, program.StatusPath(a.p.Root))
	if err != nil {
		a.log("status: %v", err)
		pause(ctx, 5*time.Second)
		return
	}
	for st := range news {
		if st.NetChild.State == status.Up && st.NetChild.Life != life {
			return
		}
	}
}

// showOnce streams over one connection: hello, attach, frames until something
// breaks. The answer says what.
func (a *agent) showOnce(ctx context.Context, d *display, link *link) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := link.hello(ctx, cancel); err != nil {
		return err
	}
	if err := link.attach(ctx, d.surfaces); err != nil {
		return err
	}
	a.joined()
	d.Invalidate()
	go func() {
		select {
		case <-d.surfaces.Lost():
			pause(ctx, lostWithin)
			cancel(surface.ErrLost)
		case <-ctx.Done():
		}
	}()
	for {
		if err := d.next(ctx, link); err != nil {
			if errors.Is(err, surface.ErrLost) {
				<-ctx.Done()
			}
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
}
