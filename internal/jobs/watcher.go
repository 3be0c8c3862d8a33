package jobs

import (
	"context"
	"slices"
	"time"
)

// watcher is one reader of Watch. Its queue has a place more than events may
// wait, so that Overflow always fits.
type watcher struct {
	queue  chan Event
	forget func() bool // stops waiting for the reader's context
}

func newQueue() chan Event { return make(chan Event, WatchQueue+1) }

// push queues e, or Overflow when the reader is too slow: then it answers
// false, and the queue has to be closed.
func push(queue chan Event, e Event) bool {
	if len(queue) < WatchQueue {
		queue <- e
		return true
	}
	queue <- Event{Kind: Overflow, Time: time.Now()}
	return false
}

func (l *loop) emit(e Event) {
	for _, w := range slices.Clone(l.watchers) {
		if !push(w.queue, e) {
			l.unwatch(w)
		}
	}
}

func (l *loop) watch(ctx context.Context) <-chan Event {
	w := &watcher{queue: newQueue()}
	l.watchers = append(l.watchers, w)
	w.forget = context.AfterFunc(ctx, func() {
		select {
		case l.e.requests <- func(l *loop) { l.unwatch(w) }:
		case <-l.e.done:
		}
	})
	return w.queue
}

func (l *loop) unwatch(w *watcher) {
	i := slices.Index(l.watchers, w)
	if i < 0 {
		return
	}
	l.watchers = slices.Delete(l.watchers, i, i+1)
	w.forget()
	close(w.queue)
}
