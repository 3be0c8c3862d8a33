//go:build darwin || standin

package macos_test

import (
	"testing"

	. "portward/internal/macos"
)

var surfaceLayout = IOSurfaceLayout{
	Width: 16, Height: 4, BytesPerRow: 64, BytesPerElement: 4, ElementWidth: 1, ElementHeight: 1,
	AllocSize: 256, PixelFormat: 'B'<<24 | 'G'<<16 | 'R'<<8 | 'A',
}

func newSurface(t *testing.T) Ref {
	t.Helper()
	if err := IOSurfaceAvailable(); err != nil {
		t.Fatal(err)
	}
	s, err := IOSurfaceCreate(surfaceLayout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { CFRelease(s) })
	return s
}

// Rule: a surface is what was asked for, and the impossible is refused.
func TestIOSurfaceLayout(t *testing.T) {
	checkLive(t)
	got := IOSurfaceGetLayout(newSurface(t))
	if got.AllocSize < surfaceLayout.AllocSize {
		t.Errorf("%d bytes", got.AllocSize)
	}
	got.AllocSize = surfaceLayout.AllocSize
	if got != surfaceLayout {
		t.Errorf("%+v", got)
	}
	bad := surfaceLayout
	bad.BytesPerRow = 8
	if s, err := IOSurfaceCreate(bad); err == nil {
		CFRelease(s)
		t.Error("rows shorter than their pixels")
	}
}

// Rule: what one reference writes, another of the same surface reads; two
// look-ups are two references to one surface; the seed counts writers.
func TestIOSurfaceShared(t *testing.T) {
	checkLive(t)
	s := newSurface(t)
	object := IOSurfaceCreateXPCObject(s)
	a, b := IOSurfaceLookupFromXPCObject(object), IOSurfaceLookupFromXPCObject(object)
	XPCRelease(object)
	defer CFRelease(a)
	defer CFRelease(b)
	if a == b || a == 0 || b == 0 || IOSurfaceGetID(a) != IOSurfaceGetID(s) || IOSurfaceGetID(b) != IOSurfaceGetID(s) {
		t.Fatalf("references %v and %v", a, b)
	}
	other := newSurface(t)
	if IOSurfaceGetID(other) == IOSurfaceGetID(s) {
		t.Error("two surfaces with one number")
	}
	pix, err := IOSurfaceLock(s, 0, 256)
	if err != nil {
		t.Fatal(err)
	}
	pix[255] = 42
	IOSurfaceUnlock(s, 0)
	for _, r := range []Ref{a, b} {
		if pix, err := IOSurfaceLock(r, IOSurfaceLockReadOnly, 256); err != nil || pix[255] != 42 || pix[0] != 0 {
			t.Errorf("read %v, %v", pix, err)
		}
		IOSurfaceUnlock(r, IOSurfaceLockReadOnly)
	}
}

// Rule: a surface is in use while an object of it lives, or somebody says so, and
// its pixels outlive the reference they were made with.
func TestIOSurfaceUse(t *testing.T) {
	checkLive(t)
	s, err := IOSurfaceCreate(surfaceLayout)
	if err != nil {
		t.Fatal(err)
	}
	object := IOSurfaceCreateXPCObject(s)
	used := IOSurfaceIsInUse(s)
	reader := IOSurfaceLookupFromXPCObject(object)
	XPCRelease(object)
	unused := IOSurfaceIsInUse(s)
	IOSurfaceIncrementUseCount(reader)
	again := IOSurfaceIsInUse(s)
	CFRelease(s)
	if _, err := IOSurfaceLock(reader, IOSurfaceLockReadOnly, 256); err != nil {
		t.Error(err)
	}
	IOSurfaceUnlock(reader, IOSurfaceLockReadOnly)
	IOSurfaceDecrementUseCount(reader)
	if !used || unused || !again || IOSurfaceIsInUse(reader) {
		t.Errorf("in use with an object %v, without %v, counted %v", used, unused, again)
	}
	CFRelease(reader)
}

// Rule: what is no surface is not found to be one.
func TestIOSurfaceOfOthers(t *testing.T) {
	checkLive(t)
	for _, o := range []Ref{XPCBoolCreate(true), XPCStringCreate("surface"), XPCDictionaryCreate(), XPCUint64Create(1)} {
		if s := IOSurfaceLookupFromXPCObject(o); s != 0 {
			t.Errorf("a %v is surface %v", XPCTypeOf(o), s)
		}
		XPCRelease(o)
	}
}
