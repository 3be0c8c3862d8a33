package capture

import (
	"context"
	"errors"
	"testing"
)

// Rule: a Mac shows its display, or says why it does not.
func TestScreenOfThisMac(t *testing.T) {
	s, err := OpenMainDisplay(context.Background())
	if err == nil {
		defer s.Close()
		if err := s.Geometry().Check(); err != nil {
			t.Error(err)
		}
		return
	}
	if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, ErrPermission) && !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}
