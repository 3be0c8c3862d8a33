package capture

import (
	"context"
	"sync/atomic"
)

// An answer is what a system gives in a callback, some time or never, to one who
// waits for it until he is tired. Whichever of the two comes first claims it.
type answer struct {
	claimed atomic.Bool
	given   chan error // holds one
}

func newAnswer() *answer { return &answer{given: make(chan error, 1)} }

// give is the callback's, once. If it answers false, nobody waits any more: what
// came with the answer is the callback's to release.
func (a *answer) give(err error) bool {
	if !a.claimed.CompareAndSwap(false, true) {
		return false
	}
	a.given <- err
	return true
}

// await answers what is given, or why ctx ended before.
func (a *answer) await(ctx context.Context) error {
	select {
	case err := <-a.given:
		return err
	case <-ctx.Done():
	}
	if a.claimed.CompareAndSwap(false, true) {
		return context.Cause(ctx)
	}
	return <-a.given // it was given in this moment
}
