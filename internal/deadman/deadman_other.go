//go:build !linux

package deadman

import (
	"errors"
	"os"
	"time"

	"portward/internal/page"
)

const supported = false

// A Timer does not exist here; Arm answers errors.ErrUnsupported.
type Timer struct{ page *page.Page }

func arm(_, _ time.Duration) (*Timer, error) { return nil, errors.ErrUnsupported }

// Beat does nothing here.
func (t *Timer) Beat() {}

// Disarm does nothing here.
func (t *Timer) Disarm() {}

func monotonic() time.Duration { return 0 }

func newStacks(int) (*os.File, error) { return nil, errors.ErrUnsupported }
