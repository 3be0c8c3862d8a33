//go:build darwin || standin

package macos

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// The framework is loaded on first use; a system that lacks it answers
// ErrNoSymbol from IOSurfaceAvailable, and nothing else here may be called.
var ioSurface = sync.OnceValues(need[ioSurfaceSymbols])

// IOSurfaceLockReadOnly is kIOSurfaceLockReadOnly, IOSurfaceTypes.h. Lock and
// Unlock take the same.
const IOSurfaceLockReadOnly uint32 = 1 << 0

// An IOSurfaceLayout is what a surface says of itself. All of it comes from the
// process that made the surface, so for another it is a claim. Planes are 0
// where the pixels are in one piece.
type IOSurfaceLayout struct {
	Width, Height, BytesPerRow  uint64
	BytesPerElement             uint64
	ElementWidth, ElementHeight uint64
	AllocSize, PlaneCount       uint64
	PixelFormat                 uint32
}

// IOSurfaceAvailable says whether this system has all of what follows, or
// answers ErrNoSymbol.
func IOSurfaceAvailable() error {
	_, err := ioSurface()
	return err
}

// IOSurfaceCreate is IOSurfaceCreate, IOSurfaceRef.h, macOS 10.6: a surface, all
// zero, that CFRelease lets go of. Elements of one pixel and no planes are what
// is made, whatever l says. The surface is never global: nobody gets it by its
// number.
func IOSurfaceCreate(l IOSurfaceLayout) (Ref, error) {
	s, err := ioSurface()
	if err != nil {
		return 0, err
	}
	c, err := cf()
	if err != nil {
		return 0, err
	}
	properties := c.numbers([]cfNumber{
		{s.kIOSurfaceWidth, l.Width}, {s.kIOSurfaceHeight, l.Height},
		{s.kIOSurfaceBytesPerElement, l.BytesPerElement}, {s.kIOSurfaceBytesPerRow, l.BytesPerRow},
		{s.kIOSurfaceAllocSize, l.AllocSize}, {s.kIOSurfacePixelFormat, uint64(l.PixelFormat)},
	})
	defer CFRelease(properties)
	if o := s.IOSurfaceCreate(properties); o != 0 {
		return o, nil
	}
	return 0, fmt.Errorf("no surface of %dx%d, %d bytes a row", l.Width, l.Height, l.BytesPerRow)
}

// A cfNumber is an entry of a dictionary.
type cfNumber struct {
	key   value
	value uint64
}

// numbers makes a CFDictionary of CFNumbers that the caller releases.
func (c *cfSymbols) numbers(all []cfNumber) Ref {
	var keys, values []Ref
	for _, n := range all {
		v := int64(n.value)
		number := c.CFNumberCreate(0, kCFNumberSInt64Type, unsafe.Pointer(&v))
		defer CFRelease(number)
		keys, values = append(keys, Ref(n.key)), append(values, number)
	}
	return c.CFDictionaryCreate(0, unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Pointer(unsafe.SliceData(values)), int64(len(all)),
		pointer(uintptr(c.kCFTypeDictionaryKeyCallBacks)), pointer(uintptr(c.kCFTypeDictionaryValueCallBacks)))
}

// surfaces is for those who have a surface, and so the framework.
func surfaces() *ioSurfaceSymbols {
	s, err := ioSurface()
	if err != nil {
		panic(err)
	}
	return s
}

// IOSurfaceGetLayout is IOSurfaceGetWidth and its siblings, IOSurfaceRef.h,
// macOS 10.6.
func IOSurfaceGetLayout(o Ref) IOSurfaceLayout {
	s := surfaces()
	return IOSurfaceLayout{
		Width: uint64(s.IOSurfaceGetWidth(o)), Height: uint64(s.IOSurfaceGetHeight(o)),
		BytesPerRow: uint64(s.IOSurfaceGetBytesPerRow(o)), BytesPerElement: uint64(s.IOSurfaceGetBytesPerElement(o)),
		ElementWidth: uint64(s.IOSurfaceGetElementWidth(o)), ElementHeight: uint64(s.IOSurfaceGetElementHeight(o)),
		AllocSize: uint64(s.IOSurfaceGetAllocSize(o)), PlaneCount: uint64(s.IOSurfaceGetPlaneCount(o)),
		PixelFormat: s.IOSurfaceGetPixelFormat(o),
	}
}

// IOSurfaceLock is IOSurfaceLock, IOSurfaceRef.h, macOS 10.6, and then
// IOSurfaceGetBaseAddress: the first n bytes, which may be touched until
// IOSurfaceUnlock, and not written to if the lock is read-only. That there are so
// many the caller knows.
func IOSurfaceLock(o Ref, options uint32, n int) ([]byte, error) {
	s := surfaces()
	if code := s.IOSurfaceLock(o, options, nil); code != 0 {
		return nil, fmt.Errorf("IOSurfaceLock: kern_return %#x", uint32(code))
	}
	base := s.IOSurfaceGetBaseAddress(o)
	if base == nil {
		s.IOSurfaceUnlock(o, options, nil)
		return nil, errors.New("IOSurfaceGetBaseAddress: NULL")
	}
	return unsafe.Slice((*byte)(base), n), nil
}

// IOSurfaceUnlock is IOSurfaceUnlock, IOSurfaceRef.h, macOS 10.6, with the
// options of the lock.
func IOSurfaceUnlock(o Ref, options uint32) { surfaces().IOSurfaceUnlock(o, options, nil) }

// IOSurfaceCreateXPCObject is IOSurfaceCreateXPCObject, IOSurfaceAPI.h, macOS
// 10.7: what goes into a message, and counts as a use of the surface as long as
// it lives. XPCRelease lets go of it.
func IOSurfaceCreateXPCObject(o Ref) Ref { return surfaces().IOSurfaceCreateXPCObject(o) }

// IOSurfaceLookupFromXPCObject is IOSurfaceLookupFromXPCObject, IOSurfaceAPI.h,
// macOS 10.7: a surface that CFRelease lets go of, another reference at each
// call; 0 if the object is none.
func IOSurfaceLookupFromXPCObject(o Ref) Ref {
	s, err := ioSurface()
	if err != nil {
		return 0
	}
	return s.IOSurfaceLookupFromXPCObject(o)
}

// IOSurfaceGetID is IOSurfaceGetID, IOSurfaceRef.h, macOS 10.6: which surface of
// this machine it is. To tell two apart, and for nothing else.
func IOSurfaceGetID(o Ref) uint32 { return surfaces().IOSurfaceGetID(o) }

// IOSurfaceIncrementUseCount is IOSurfaceIncrementUseCount, IOSurfaceRef.h,
// macOS 10.6. The kernel takes back what a process that dies has not.
func IOSurfaceIncrementUseCount(o Ref) { surfaces().IOSurfaceIncrementUseCount(o) }

// IOSurfaceDecrementUseCount is IOSurfaceDecrementUseCount, IOSurfaceRef.h,
// macOS 10.6.
func IOSurfaceDecrementUseCount(o Ref) { surfaces().IOSurfaceDecrementUseCount(o) }

// IOSurfaceIsInUse is IOSurfaceIsInUse, IOSurfaceRef.h, macOS 10.6: whether any
// process uses it.
func IOSurfaceIsInUse(o Ref) bool { return surfaces().IOSurfaceIsInUse(o) }
