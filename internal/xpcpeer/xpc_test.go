//go:build darwin || standin

package xpcpeer_test

import (
	"os"
	"testing"

	"portward/internal/xpcpeer"
	"portward/internal/xpcpeer/xpcpeertest"
)

// requirement is what this test's own signature satisfies. On a Mac whoever
// signed the test says it.
func requirement(t *testing.T) string {
	if standingIn {
		return `identifier "anybody"`
	}
	r := os.Getenv("PORTWARD_TEST_REQUIREMENT")
	if r == "" {
		t.Skip("needs a signed test and PORTWARD_TEST_REQUIREMENT")
	}
	return r
}

// Rule: the suite holds within one process, by endpoints alone, which is all
// that a test on a Mac can have.
func TestXPCByEndpoints(t *testing.T) {
	r := requirement(t)
	xpcpeertest.Run(t, func(t *testing.T) xpcpeer.Transport {
		checkLive(t)
		return xpcpeer.ByEndpoints(r, t.Logf)
	})
}
