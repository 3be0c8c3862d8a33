//go:build standin && !darwin

package surface_test

import (
	"testing"

	"portward/internal/macos/macostest"
)

// checkLive: a test leaves no object behind.
func checkLive(t testing.TB) { macostest.CheckLive(t) }
