package hub

import (
	"slices"
	"time"
)

type idleWaiter struct {
	after time.Duration
	ch    chan struct{}
}

// Idle answers a channel that is closed once no viewer has been there for d,
// counted from the start of Run or the last viewer's leave, and noticed within
// a second. A d of 0 means never. Whoever goes on afterwards calls Idle again.
func (h *Hub) Idle(d time.Duration) <-chan struct{} {
	ch := make(chan struct{})
	if d > 0 {
		h.tell(func() { h.waiting = append(h.waiting, idleWaiter{d, ch}) })
	}
	return ch
}

func (h *Hub) checkIdle() {
	if len(h.watchers) > 0 {
		return
	}
	empty := time.Since(h.emptySince)
	h.waiting = slices.DeleteFunc(h.waiting, func(w idleWaiter) bool {
		over := empty >= w.after
		if over {
			close(w.ch)
		}
		return over
	})
}
