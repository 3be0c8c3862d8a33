//go:build standin && !darwin

package xpcpeer_test

import (
	"testing"

	"portward/internal/macos/macostest"
)

const standingIn = true

func checkLive(t testing.TB) { macostest.CheckLive(t) }
