package hub

import (
	"context"
	"sync/atomic"
)

// An item is one piece of work for the loop. Whoever asked for it may give up
// until the loop has taken it; exactly one of the two wins.
type item struct {
	claimed atomic.Bool
	work    func()
	done    chan struct{} // closed when work has returned
}

func newItem(work func()) *item {
	return &item{work: work, done: make(chan struct{})}
}

// run is the loop's side: false means that the item had been abandoned.
func (it *item) run() bool {
	if !it.claimed.CompareAndSwap(false, true) {
		return false
	}
	it.work()
	close(it.done)
	return true
}

// abandon is the asker's side: false means that the loop has taken the item.
func (it *item) abandon() bool { return it.claimed.CompareAndSwap(false, true) }

// put queues it, waiting for room.
func (h *Hub) put(ctx context.Context, it *item) error {
	select {
	case h.queue <- it:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.done:
		return ErrStopped
	}
}

// try queues work if there is room. A full queue needs no further item to beat,
// and the next tick asks again.
func (h *Hub) try(work func()) {
	select {
	case h.queue <- newItem(work):
	default:
	}
}

// tell queues work and does not wait for it; a hub that stops drops it.
func (h *Hub) tell(work func()) {
	_ = h.put(context.Background(), newItem(work))
}

// ask runs work on the loop. With an error work has not run and never will;
// once the loop has taken it, ask waits for it, whatever ctx says.
func (h *Hub) ask(ctx context.Context, work func()) error {
	it := newItem(work)
	if err := h.put(ctx, it); err != nil {
		return err
	}
	select {
	case <-it.done:
		return nil
	case <-ctx.Done():
		return h.settle(it, ctx.Err())
	case <-h.done:
		return h.settle(it, ErrStopped)
	}
}

// settle gives up on it with err, or waits for it if the loop has taken it.
func (h *Hub) settle(it *item, err error) error {
	if it.abandon() {
		return err
	}
	<-it.done
	return nil
}
