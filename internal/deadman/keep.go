package deadman

import (
	"context"
	"errors"
	"time"
)

// Keep lets the kernel watch a loop of this process until ctx ends: every
// half of the limit ask puts a question through the loop's own queue, and
// only its answer beats. It answers ask's error, which is the end of the watch;
// where there are no kernel timers it answers nil at once.
func Keep(ctx context.Context, limit, grace time.Duration, ask func(context.Context) error) error {
	t, err := Arm(limit, grace, nil)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	defer t.Disarm()
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := ask(ctx); err != nil {
			return err
		}
		t.Beat()
	}
}
