package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

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
	t.Setenv("PORTWARD_SOURCE", "testcard")
	src, err := (&agent{p: &program.Program{}}).openSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	src.Close()
}

// Rule: where auto has shown an X display, it waits for it to come back and
// shows nothing else instead.
func TestAutoStays(t *testing.T) {
	t.Setenv("PORTWARD_SOURCE", "auto")
	t.Setenv("DISPLAY", ":65000")
	src, err := (&agent{p: &program.Program{}}).openSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	src.Close()
	if src, err := (&agent{p: &program.Program{}, sawX11: true}).openSource(t.Context()); err == nil {
		src.Close()
		t.Error("something else was shown")
	}
}
