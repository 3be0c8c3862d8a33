//go:build standin && !darwin

package macos_test

import (
	"testing"

	"go.uber.org/goleak"

	"portward/internal/macos/macostest"
)

// checkLive: a test leaves neither objects nor goroutines.
func checkLive(t testing.TB) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	macostest.CheckLive(t)
}
