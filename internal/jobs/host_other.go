//go:build !linux

package jobs

import "errors"

// newHost: elsewhere launchd keeps the jobs; a death signal tied to the
// engine does not exist.
func newHost() (host, error) { return host{}, errors.ErrUnsupported }
