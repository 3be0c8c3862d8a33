package xpcpeer_test

import (
	"testing"

	"portward/internal/xpcpeer"
	"portward/internal/xpcpeer/xpcpeertest"
)

func TestMem(t *testing.T) {
	xpcpeertest.Run(t, func(*testing.T) xpcpeer.Transport { return xpcpeer.Mem() })
}
