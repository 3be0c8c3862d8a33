//go:build standin && !darwin

package macos_test

import (
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	. "portward/internal/macos"
)

// Rule: a surface that lies tells everybody the same, and one that cannot be
// locked, or has no address, is an error.
func TestIOSurfaceLies(t *testing.T) {
	checkLive(t)
	s := newSurface(t)
	StandinSurfaceLie(s, StandinPlaneCount, 3)
	if n := IOSurfaceGetLayout(s).PlaneCount; n != 3 {
		t.Errorf("%d planes", n)
	}
	StandinSurfaceLie(s, StandinNoBase, 1)
	if _, err := IOSurfaceLock(s, 0, 256); err == nil {
		t.Error("locked without an address")
	}
	StandinSurfaceLie(s, StandinLockCode, 0xe00002cc)
	if _, err := IOSurfaceLock(s, 0, 256); err == nil || !strings.Contains(err.Error(), "0xe00002cc") {
		t.Errorf("locked: %v", err)
	}
}

// Rule: pixels are there as long as the lock is, and to be written only where it
// says so.
func TestIOSurfaceGuard(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	s := newSurface(t)
	faults := func(f func()) (faulted bool) {
		defer func() { faulted = recover() != nil }()
		f()
		return false
	}
	pix, err := IOSurfaceLock(s, IOSurfaceLockReadOnly, 256)
	if err != nil {
		t.Fatal(err)
	}
	if faults(func() { _ = pix[0] }) || !faults(func() { pix[0] = 1 }) {
		t.Error("a read-only lock is none")
	}
	IOSurfaceUnlock(s, IOSurfaceLockReadOnly)
	if !faults(func() { t.Log(pix[0]) }) {
		t.Error("pixels stay when the lock is gone")
	}
}

// Rule: what the headers call undefined ends the process.
func TestIOSurfaceMisuse(t *testing.T) {
	misuses := map[string]func(Ref){
		"unlocked as it was not locked": func(s Ref) {
			IOSurfaceLock(s, IOSurfaceLockReadOnly, 256)
			IOSurfaceUnlock(s, 0)
		},
		"used less than never": IOSurfaceDecrementUseCount,
		"released while it is locked": func(s Ref) {
			IOSurfaceLock(s, 0, 256)
			CFRelease(s)
		},
		"is no CF object of type": func(Ref) { IOSurfaceIsInUse(0) },
	}
	if what := os.Getenv("PORTWARD_SURFACE_MISUSE"); what != "" {
		misuses[what](newSurface(t))
		return
	}
	for what := range misuses {
		cmd := exec.Command(os.Args[0], "-test.run=^TestIOSurfaceMisuse$")
		cmd.Env = append(os.Environ(), "PORTWARD_SURFACE_MISUSE="+what)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "API misuse: ") || !strings.Contains(string(out), what) {
			t.Errorf("%s: %v\n%.300s", what, err, out)
		}
	}
}
