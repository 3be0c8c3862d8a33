//go:build darwin || standin

package macos

import "unsafe"

type ioSurfaceSymbols struct {
	_ struct{} `lib:"/System/Library/Frameworks/IOSurface.framework/IOSurface"`

	kIOSurfaceWidth           value
	kIOSurfaceHeight          value
	kIOSurfaceBytesPerElement value
	kIOSurfaceBytesPerRow     value
	kIOSurfaceAllocSize       value
	kIOSurfacePixelFormat     value

	IOSurfaceCreate              func(Ref) Ref
	IOSurfaceCreateXPCObject     func(Ref) Ref
	IOSurfaceLookupFromXPCObject func(Ref) Ref

	IOSurfaceLock           func(Ref, uint32, unsafe.Pointer) int32
	IOSurfaceUnlock         func(Ref, uint32, unsafe.Pointer) int32
	IOSurfaceGetBaseAddress func(Ref) unsafe.Pointer

	IOSurfaceGetWidth           func(Ref) uintptr
	IOSurfaceGetHeight          func(Ref) uintptr
	IOSurfaceGetBytesPerElement func(Ref) uintptr
	IOSurfaceGetBytesPerRow     func(Ref) uintptr
	IOSurfaceGetAllocSize       func(Ref) uintptr
	IOSurfaceGetElementWidth    func(Ref) uintptr
	IOSurfaceGetElementHeight   func(Ref) uintptr
	IOSurfaceGetPlaneCount      func(Ref) uintptr
	IOSurfaceGetPixelFormat     func(Ref) uint32

	IOSurfaceGetID             func(Ref) uint32
	IOSurfaceIncrementUseCount func(Ref)
	IOSurfaceDecrementUseCount func(Ref)
	IOSurfaceIsInUse           func(Ref) bool
}
