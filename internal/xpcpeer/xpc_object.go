//go:build darwin || standin

package xpcpeer

import (
	"os"
	"sync"

	"portward/internal/macos"
	"portward/internal/wire"
)

// retained answers a reference of the caller's own to a handle's XPC object: what
// is no *os.File is a macos.Retainer here.
func retained(h wire.Handle) (macos.Ref, bool) {
	o, ok := h.Object.(macos.Retainer)
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
