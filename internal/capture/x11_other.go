//go:build !linux

package capture

import (
	"context"
	"errors"
	"fmt"
)

func openX11(_ context.Context, display string) (Source, error) {
	return nil, fmt.Errorf("display %s: %w", display, errors.ErrUnsupported)
}

func answers(string) bool { return false }

func x11Screens(_ context.Context, display string) (int, error) {
	return 0, fmt.Errorf("display %s: %w", display, errors.ErrUnsupported)
}
