//go:build !darwin

package capture

import (
	"context"
	"errors"
	"testing"
)

// Rule: where there is no way to record the screen, nobody waits for one.
func TestScreenElsewhere(t *testing.T) {
	if s, err := OpenMainDisplay(context.Background()); s != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, %v", s, err)
	}
}
