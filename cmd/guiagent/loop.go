package main

import (
	"context"
	"time"

	"portward/internal/deadman"
)

// A loop is the agent's own: every frame and every quarter of the limit an
// item goes through it, and only a finished item beats.
type loop struct{ items chan func() }

func newLoop() *loop { return &loop{items: make(chan func())} }

// do runs f on the loop, before do returns if the loop still runs.
func (l *loop) do(f func()) { l.items <- f }

// try runs f on the loop to its end, or, with an error, not at all: when ctx
// ends before the loop takes it.
func (l *loop) try(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case l.items <- func() { f(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the loop. It asks itself when nobody else does.
func (l *loop) run(ctx context.Context, every time.Duration, t *deadman.Timer) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		f := func() {}
		select {
		case f = <-l.items:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		f()
		if t != nil {
			t.Beat()
		}
	}
}
