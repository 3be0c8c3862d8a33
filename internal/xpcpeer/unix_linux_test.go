package xpcpeer_test

import (
	"testing"

	"portward/internal/xpcpeer"
	"portward/internal/xpcpeer/xpcpeertest"
)

func TestUnix(t *testing.T) {
	xpcpeertest.Run(t, func(t *testing.T) xpcpeer.Transport { return xpcpeer.Unix(t.TempDir(), nil) })
}
