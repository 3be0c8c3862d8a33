package jobs

import (
	"context"
	"sync"
)

// feed hands events to everyone who watches, in order, and never waits for
// them. The zero value is ready.
type feed struct {
	mu       sync.Mutex
	watchers map[chan Event]func() bool // stops waiting for the reader's context
	closed   bool
}

// watch answers the events from now on until ctx ends.
func (f *feed) watch(ctx context.Context) (<-chan Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	queue := newQueue()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if f.watchers == nil {
		f.watchers = map[chan Event]func() bool{}
	}
	f.watchers[queue] = context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.forgetLocked(queue)
	})
	return queue, nil
}

func (f *feed) send(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for queue := range f.watchers {
		if !push(queue, e) {
			f.forgetLocked(queue)
		}
	}
}

// close ends every watch, after its last event.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for queue := range f.watchers {
		f.forgetLocked(queue)
	}
}

func (f *feed) forgetLocked(queue chan Event) {
	if stop, ok := f.watchers[queue]; ok {
		delete(f.watchers, queue)
		stop()
		close(queue)
	}
}
