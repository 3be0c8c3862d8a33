//go:build darwin || standin

package macos_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	. "portward/internal/macos"
)

// Rule: the census has this process, and where its program is.
func TestProcesses(t *testing.T) {
	pids, err := ProcListPIDs()
	if err != nil || !slices.Contains(pids, os.Getpid()) {
		t.Error(len(pids), err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		t.Fatal(err)
	}
	if got := ProcPIDPath(os.Getpid()); got != exe {
		t.Errorf("%q, want %q", got, exe)
	}
	if got := ProcPIDPath(1 << 30); got != "" {
		t.Errorf("nobody's program is %q", got)
	}
}
