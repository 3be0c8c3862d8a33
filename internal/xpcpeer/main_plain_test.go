//go:build linux && !standin

package xpcpeer_test

import "testing"

func run(m *testing.M) int { return m.Run() }
