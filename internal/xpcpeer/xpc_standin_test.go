//go:build standin && !darwin

package xpcpeer_test

import (
	"testing"

	"portward/internal/xpcpeer"
	"portward/internal/xpcpeer/xpcpeertest"
)

// Rule: the suite holds within one process, by names that launchd would know. That
// another process is named by its evidence cannot be shown so; TestXPCEvidence
// shows that libxpc's word is taken.
func TestXPC(t *testing.T) {
	xpcpeertest.Run(t, func(t *testing.T) xpcpeer.Transport {
		checkLive(t)
		return xpcpeer.Standin(t.Logf)
	})
}
