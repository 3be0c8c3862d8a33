//go:build !linux

package subject

import "errors"

func exchangeOnly(_, _ string) error { return errors.ErrUnsupported }
