package ipc

import (
	"testing"

	"portward/bench/harness/harnesstest"
)

// Rule: each contestant answers figures, or says why it is absent.
func TestGroups(t *testing.T) { harnesstest.Turns(t, Groups(harnesstest.Env(t))) }
