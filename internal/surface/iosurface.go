//go:build darwin || standin

package surface

import (
	"errors"
	"fmt"
	"sync"

	"portward/internal/macos"
	"portward/internal/wire"
)

// IOSurfaces is the Platform of macOS: IOSurfaces, never global and never found
// by a number, with descriptors over a stream. Handles are XPC objects.
func IOSurfaces() Platform { return Platform{ioSurfaces{}, streams{}} }

// ioSurfaces are IOSurfaces of one plane and one pixel to an element. Before one
// of a peer's is locked for the first time, this has been held against the
// geometry, which has passed its own check:
//
//	width, height, bytes per row   the geometry's
//	elements                       of one pixel, four bytes
//	planes                         none
//	pixel format                   BGRA
//	allocated                      enough for all rows, and not much more
//	IOSurfaceGetID                 its identity: the sink refuses one twice
//
// A maker's kIOSurfaceOffset can be neither asked for nor excluded: no public
// function answers it. That the base address plus all rows lies in what is mapped
// where "allocated" is enough is taken from the kernel, which checks a surface
// when it is made; by our own bound an offset is 1 MiB at most then.
//
// None of it changes in a surface's life; pixels can change at any time, and the
// consumer must not believe them twice.
type ioSurfaces struct{}

// ioSurfaceFormat is what the system calls FormatBGRX: 'BGRA', with an alpha
// that means nothing to us.
const ioSurfaceFormat uint32 = 'B'<<24 | 'G'<<16 | 'R'<<8 | 'A'

// ioSurfaceSlack is how much more than its rows a surface may take: whole pages,
// and what a graphics driver wants behind the end, whole tiles of rows for one.
const ioSurfaceSlack = 1 << 20

// An ioSurface is a reference to one. A consumer's locks are read-only and count
// as uses, so that a producer who is told that its frame is released, by whomever,
// still does not write into what somebody reads.
type ioSurface struct {
	size    int
	options uint32

	mu  sync.Mutex
	ref macos.Ref // 0 when closed
}

func ioSurfaceLayout(g Geometry) macos.IOSurfaceLayout {
	return macos.IOSurfaceLayout{
		Width: uint64(g.Width), Height: uint64(g.Height), BytesPerRow: uint64(g.Stride),
		BytesPerElement: BytesPerPixel, ElementWidth: 1, ElementHeight: 1,
		AllocSize: uint64(g.Size()), PixelFormat: ioSurfaceFormat,
	}
}

func (ioSurfaces) create(g Geometry) (memory, error) {
	ref, err := macos.IOSurfaceCreate(ioSurfaceLayout(g))
	if err != nil {
		return nil, err
	}
	if err := checkIOSurface(ref, g); err != nil {
		macos.CFRelease(ref)
		return nil, fmt.Errorf("this system makes another surface: %w", err)
	}
	return &ioSurface{size: g.Size(), ref: ref}, nil
}

func (ioSurfaces) adopt(h wire.Handle, g Geometry) (memory, identity, error) {
	s, err := adoptIOSurface(h, g)
	if err != nil {
		return nil, identity{}, fmt.Errorf("%w: %w", ErrHostile, err)
	}
	return s, identity{uint64(macos.IOSurfaceGetID(s.ref))}, nil
}

func adoptIOSurface(h wire.Handle, g Geometry) (*ioSurface, error) {
	r, ok := h.Object.(macos.Retainer)
	if !ok {
		return nil, fmt.Errorf("a %T", h.Object)
	}
	object := r.Retain()
	if object == 0 {
		return nil, errors.New("a handle that was closed")
	}
	defer macos.XPCRelease(object)
	ref := macos.IOSurfaceLookupFromXPCObject(object)
	if ref == 0 {
		return nil, errors.New("an object that is none")
	}
	if err := checkIOSurface(ref, g); err != nil {
		macos.CFRelease(ref)
		return nil, err
	}
	return &ioSurface{size: g.Size(), options: macos.IOSurfaceLockReadOnly, ref: ref}, nil
}

// checkIOSurface is the proof that ioSurfaces promises. Nothing is computed from
// what the surface says.
func checkIOSurface(ref macos.Ref, g Geometry) error {
	is, want := macos.IOSurfaceGetLayout(ref), ioSurfaceLayout(g)
	if is.AllocSize < want.AllocSize || is.AllocSize-want.AllocSize > ioSurfaceSlack {
		return fmt.Errorf("%d bytes for a picture of %d", is.AllocSize, want.AllocSize)
	}
	want.AllocSize = is.AllocSize
	if is != want {
		return fmt.Errorf("it says %+v, not %+v", is, want)
	}
	return nil
}

func (s *ioSurface) readOnly() bool { return s.options&macos.IOSurfaceLockReadOnly != 0 }

func (s *ioSurface) lock() ([]byte, error) {
	pix, err := macos.IOSurfaceLock(s.ref, s.options, s.size)
	if err == nil && s.readOnly() {
		macos.IOSurfaceIncrementUseCount(s.ref)
	}
	return pix, err
}

func (s *ioSurface) unlock() {
	macos.IOSurfaceUnlock(s.ref, s.options)
	if s.readOnly() {
		macos.IOSurfaceDecrementUseCount(s.ref)
	}
}

func (s *ioSurface) inUse() bool { return macos.IOSurfaceIsInUse(s.ref) }

func (s *ioSurface) handle() wire.Handle {
	return wire.Handle{Kind: wire.HandleSurface, Object: lent{s}}
}

func (s *ioSurface) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	macos.CFRelease(s.ref)
	s.ref = 0
}

// What is lent becomes an XPC object when it is put into a message, and not
// before: as long as one lives, the surface counts as used.
type lent struct{ s *ioSurface }

// Retain makes an object that XPCRelease lets go of; 0 when the chain is closed.
func (l lent) Retain() macos.Ref {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.ref == 0 {
		return 0
	}
	return macos.IOSurfaceCreateXPCObject(l.s.ref)
}

// Close does nothing: the chain closes what it lent.
func (lent) Close() error { return nil }
