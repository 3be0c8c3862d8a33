//go:build darwin || standin

package xpcpeer

import (
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
