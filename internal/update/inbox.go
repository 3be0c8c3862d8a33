package update

import (
	"context"
	"slices"
	"sync"
	"time"
)

// An inbox is what other goroutines leave for Run.
type inbox struct {
	wake chan struct{} // something was left

	mu        sync.Mutex
	requests  []Request
	until     time.Time
	interrupt context.CancelFunc // of the latest check or trial
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1), interrupt: func() {}} }

// Ask hands a request to Run. It is answered in status.Payload.Answers. A
// rollback ends a check or a trial that is going on.
func (u *Updater) Ask(r Request) {
	u.inbox.leave(func(in *inbox) {
		in.requests = append(in.requests, r)
		if r.Op == "rollback" {
			in.interrupt()
		}
	})
}

// Lease says that sessions ask not to be disturbed until then; zero ends that.
func (u *Updater) Lease(until time.Time) {
	u.inbox.leave(func(in *inbox) { in.until = until })
}

func (in *inbox) leave(what func(*inbox)) {
	in.mu.Lock()
	what(in)
	in.mu.Unlock()
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

func (in *inbox) lease() time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.until
}

// next takes the oldest request. The others stay where a hand-over finds them.
func (in *inbox) next() (r Request, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if ok = len(in.requests) > 0; ok {
		r, in.requests = in.requests[0], in.requests[1:]
	}
	return r, ok
}

// interruptible answers a ctx that a rollback ends, also one that waits already.
func (in *inbox) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.interrupt = cancel
	if slices.ContainsFunc(in.requests, func(r Request) bool { return r.Op == "rollback" }) {
		cancel()
	}
	return ctx, cancel
}
