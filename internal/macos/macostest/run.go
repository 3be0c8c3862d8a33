//go:build standin && !darwin

package macostest

import (
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	"portward/internal/macos"
)

// Run builds the stand-in, unless a parent test has, and runs the tests on it.
// It is for TestMain.
func Run(m *testing.M) int {
	if os.Getenv(macos.StandinEnv) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "standin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	so, err := build(dir)
	if err == nil {
		err = os.Setenv(macos.StandinEnv, so)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// CheckLive fails t at its end if the stand-in then has more or less of anything
// than now. What ends a moment later is waited for.
func CheckLive(t testing.TB) {
	t.Helper()
	before := macos.StandinLive()
	t.Cleanup(func() {
		deadline := time.Now().Add(10 * time.Second)
		for {
			now := macos.StandinLive()
			if maps.Equal(now, before) {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("live at the end %v, at the start %v", now, before)
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}
