//go:build !standin

package surface_test

import "testing"

func run(m *testing.M) int { return m.Run() }
