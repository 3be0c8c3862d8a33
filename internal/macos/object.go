//go:build darwin || standin

package macos

import (
	"os"
	"sync"
)

// An Object is a reference to an XPC object that has an owner in Go: a Retainer
// that is closed once. It may be used by several goroutines.
type Object struct {
	mu  sync.Mutex
	ref Ref
}

// NewObject takes the reference over.
func NewObject(ref Ref) *Object { return &Object{ref: ref} }

// Retain is Retainer's: xpc_retain, or 0 after Close.
func (o *Object) Retain() Ref {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ref == 0 {
		return 0
	}
	return XPCRetain(o.ref)
}

// Close lets go of the reference; a second one is os.ErrClosed.
func (o *Object) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ref == 0 {
		return os.ErrClosed
	}
	XPCRelease(o.ref)
	o.ref = 0
	return nil
}
