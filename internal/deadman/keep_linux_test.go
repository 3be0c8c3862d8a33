package deadman

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Rule: Keep asks again and again, and ends with the context or with the first
// question that is not answered; the process lives on after both.
func TestKeep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	if err := Keep(ctx, 10*time.Second, time.Minute, func(context.Context) error {
		if asked++; asked == 2 {
			cancel()
		}
		return nil
	}); err != nil || asked < 2 {
		t.Errorf("%v after %d questions", err, asked)
	}
	gone := errors.New("the loop is gone")
	if err := Keep(t.Context(), 10*time.Second, time.Minute, func(context.Context) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("answered %v", err)
	}
	if err := Keep(t.Context(), 0, time.Second, nil); err == nil {
		t.Error("no limit at all was taken")
	}
}
