//go:build darwin || standin

package xpcpeer

import (
	"io"
	"os"
	"sync"

	"portward/internal/macos"
	"portward/internal/wire"
)

// What a handle's Object is here: an *os.File for a descriptor, else something
// that gives references to an XPC object.
type retainer interface {
	io.Closer
	Retain() macos.Ref // a reference of the caller's own; 0 after Close
}

// retained answers a reference of the caller's own to a handle's XPC object.
func retained(h wire.Handle) (macos.Ref, bool) {
	o, ok := h.Object.(retainer)
	if !ok {
		return 0, false
	}
	ref := o.Retain()
	return ref, ref != 0
}

// An object is a reference to an XPC object that has an owner in Go.
type object struct {
	mu  sync.Mutex
	ref macos.Ref
}

// newObject takes the reference over.
func newObject(ref macos.Ref) *object { return &object{ref: ref} }

func (o *object) Retain() macos.Ref {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ref == 0 {
		return 0
	}
	return macos.XPCRetain(o.ref)
}

func (o *object) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ref == 0 {
		return os.ErrClosed
	}
	macos.XPCRelease(o.ref)
	o.ref = 0
	return nil
}
