package program

import (
	"os"
	"sync"

	"portward/internal/macos"
)

// A kept object is a reference of our own to an XPC object.
type kept struct {
	mu  sync.Mutex
	ref macos.Ref // 0 after Close
}

// Retain answers a reference of the caller's own; 0 after Close.
func (k *kept) Retain() macos.Ref {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ref == 0 {
		return 0
	}
	return macos.XPCRetain(k.ref)
}

// Close lets go of the object.
func (k *kept) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ref == 0 {
		return os.ErrClosed
	}
	macos.XPCRelease(k.ref)
	k.ref = 0
	return nil
}
