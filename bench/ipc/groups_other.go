//go:build !linux

package ipc

import "portward/bench/harness"

// Groups are what this room measures: nothing here.
func Groups(harness.Env) []harness.Group { return nil }
