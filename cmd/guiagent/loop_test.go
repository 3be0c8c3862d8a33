package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Rule: items run one at a time, in the loop, and who waits for one that does
// not end is let go with its context.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := newLoop()
		go l.run(ctx, time.Second, nil)

		ran := 0
		for range 3 {
			if taken, err := l.try(ctx, func() { time.Sleep(time.Second); ran++ }); !taken || err != nil {
				t.Fatal(taken, err)
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
		if taken, err := l.try(brief, func() { ran = -1 }); taken || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("behind a stuck item: taken %v, %v", taken, err)
		}
		close(stuck)
		synctest.Wait()
		if ran != 4 {
			t.Error("an item that nobody waits for ran")
		}

		hold := make(chan struct{})
		brief, stop = context.WithTimeout(ctx, time.Minute)
		defer stop()
		if taken, err := l.try(brief, func() { <-hold }); !taken || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("in a stuck item: taken %v, %v", taken, err)
		}
		close(hold)
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
	if src, err := openSource(t.Context()); err == nil {
		src.Close()
		t.Error("television was opened")
	}
	t.Setenv("PORTWARD_SOURCE", "testcard")
	src, err := openSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	src.Close()
}
