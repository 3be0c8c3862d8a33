//go:build linux && standin

package surface_test

import (
	"testing"

	"portward/internal/macos/macostest"
)

func run(m *testing.M) int { return macostest.Run(m) }
