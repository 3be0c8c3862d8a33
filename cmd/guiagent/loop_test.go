package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/capture"
	"portward/internal/program"
)

// Rule: items run one at a time, in the loop, each to its end or not at all.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := newLoop()
		go l.run(ctx, time.Second, nil)

		ran := 0
		for range 3 {
			if err := l.try(ctx, func() { time.Sleep(time.Second); ran++ }); err != nil {
				t.Fatal(err)
			}
		}
		l.do(func() { ran++ })
		synctest.Wait()
		if ran != 4 {
			t.Errorf("%d items ran", ran)
		}

		stuck := make(chan struct{})
		l.do(func() { <-stuck })
		brief, stop := context.WithTimeout(ctx, time.Minute)
		defer stop()
		if err := l.try(brief, func() { ran = -1 }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("behind a stuck item: %v", err)
		}
		close(stuck)
		synctest.Wait()
		if ran != 4 {
			t.Error("an item that nobody waits for ran")
		}

		brief, stop = context.WithTimeout(ctx, time.Minute)
		defer stop()
		if err := l.try(brief, func() { time.Sleep(time.Hour); ran++ }); err != nil || ran != 5 {
			t.Errorf("a slow item that was taken: %v, %d ran", err, ran)
		}
		cancel()
		synctest.Wait()
	})
}

// Rule: attempts that fail are spaced, ever more, and never given up.
func TestPatience(t *testing.T) {
	p := newPatience()
	longest := time.Duration(0)
	for range 1000 {
		d := p.NextBackOff()
		if d <= 0 || d > 3*time.Second {
			t.Fatalf("a pause of %v", d)
		}
		longest = max(longest, d)
	}
	if longest < time.Second {
		t.Errorf("the longest pause is %v", longest)
	}
	p.Reset()
	if d := p.NextBackOff(); d > 100*time.Millisecond {
		t.Errorf("after a success the first pause is %v", d)
	}
}

// Rule: a source that is not known is an error, and no other source is shown
// instead.
func TestUnknownSource(t *testing.T) {
	t.Setenv("PORTWARD_SOURCE", "television")
	if src, err := (&agent{p: &program.Program{}}).openSource(t.Context()); err == nil {
		src.Close()
		t.Error("television was opened")
	}
	t.Setenv("PORTWARD_SOURCE", "screen")
	if src, err := (&agent{p: &program.Program{}}).openSource(t.Context()); err == nil {
		src.Close() // on a Mac
	} else if src != nil {
		t.Errorf("both %v and a source", err)
	}
	t.Setenv("PORTWARD_SOURCE", "testcard")
	src, err := (&agent{p: &program.Program{}}).openSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	src.Close()
}

// Rule: an agent that may not record the screen says so once, and in its menu, asks
// nobody again, and ends after a while for another one; or at once when it is told.
func TestBarred(t *testing.T) {
	for _, told := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			opened, said := 0, 0
			a := &agent{p: &program.Program{Root: t.TempDir()}, log: func(string, ...any) { said++ }}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan int)
			go func() {
				code, err := a.stream(ctx, func(context.Context) (capture.Picture, error) {
					opened++
					return nil, fmt.Errorf("screen: %w: allow it", capture.ErrPermission)
				})
				if err != nil {
					t.Error(err)
				}
				ended <- code
			}()
			time.Sleep(barredFor - 1)
			if f := a.scene().face(); f.title != markPaused || f.lines[0] != "Paused: not allowed to record the screen" {
				t.Errorf("%+v", f)
			}
			want := program.ExitAgain
			if told {
				cancel()
				want = program.ExitOK
			}
			if code := <-ended; code != want || opened != 1 || said != 1 {
				t.Errorf("exit %d, want %d; opened %d times, said %d times", code, want, opened, said)
			}
		})
	}
}

// Rule: a display that cannot be had for another reason is asked for again, and
// the menu does not say that it is forbidden; nor of one that was had in the end.
func TestDisplayComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent{p: &program.Program{Root: t.TempDir()}, log: func(string, ...any) {}}
		a.displays(capture.ErrPermission)
		ctx, cancel := context.WithCancel(t.Context())
		opened := 0
		code, err := a.stream(ctx, func(context.Context) (capture.Picture, error) {
			if opened++; opened == 5 {
				cancel()
			}
			return nil, capture.ErrGone
		})
		if code != program.ExitOK || err != nil || opened != 5 {
			t.Errorf("exit %d, %v, opened %d times", code, err, opened)
		}
		if s := a.scene(); s.barred {
			t.Errorf("%+v", s.face())
		}
	})
}

// Rule: where auto has shown an X display, it waits for it to come back and
// shows nothing else instead.
func TestAutoStays(t *testing.T) {
	t.Setenv("PORTWARD_SOURCE", "auto")
	t.Setenv("DISPLAY", ":65000")
	src, err := (&agent{p: &program.Program{}}).openSource(t.Context())
	switch {
	case err == nil:
		src.Close()
	case !errors.Is(err, capture.ErrPermission) && !errors.Is(err, capture.ErrGone): // a Mac's screen
		t.Fatal(err)
	}
	if src, err := (&agent{p: &program.Program{}, sawX11: true}).openSource(t.Context()); err == nil {
		src.Close()
		t.Error("something else was shown")
	}
}
