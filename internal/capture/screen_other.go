//go:build !darwin

package capture

import (
	"context"
	"errors"
	"fmt"
)

func openMainDisplay(context.Context) (Lender, error) {
	return nil, fmt.Errorf("screen: %w", errors.ErrUnsupported)
}
