package capture

import (
	"context"
	"time"
)

// A waiter is where a picture's one goroutine waits for what others change.
type waiter struct {
	wake chan struct{} // holds a token when something changed
}

func newWaiter() waiter { return waiter{make(chan struct{}, 1)} }

// signal has until look again. It never waits.
func (w waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// until blocks until ready answers true or an error, which it answers, or ctx
// ends, then with its cause. It calls step at each tick meanwhile; a nil tick
// never comes.
func (w waiter) until(ctx context.Context, tick <-chan time.Time, step func(), ready func() (bool, error)) error {
	for {
		if done, err := ready(); done || err != nil {
			return err
		}
		select {
		case <-w.wake:
		case <-tick:
			step()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
