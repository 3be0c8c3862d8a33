//go:build !linux

package supervise

import "portward/bench/harness"

// Groups answers none: what is compared here is Linux's.
func Groups(harness.Env) []harness.Group { return nil }
