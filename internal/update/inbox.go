package update

import (
	"context"
	"sync"
	"time"
)

// An inbox is what other goroutines leave for Run.
type inbox struct {
	wake chan struct{} // something was left

	mu        sync.Mutex
	requests  []Request
	until     time.Time
	interrupt context.CancelFunc
}

// Ask hands a request to Run. It is answered in status.Payload.Answers. A
// rollback ends a check or a trial that is going on.
func (u *Updater) Ask(r Request) {
	in := u.inbox
	in.mu.Lock()
	in.requests = append(in.requests, r)
	if r.Op == "rollback" && in.interrupt != nil {
		in.interrupt()
	}
	in.mu.Unlock()
	in.knock()
}

// Lease says that sessions ask not to be disturbed until then; zero ends that.
func (u *Updater) Lease(until time.Time) {
	u.inbox.mu.Lock()
	u.inbox.until = until
	u.inbox.mu.Unlock()
	u.inbox.knock()
}

func (in *inbox) knock() {
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

func (in *inbox) take() []Request {
	in.mu.Lock()
	defer in.mu.Unlock()
	all := in.requests
	in.requests = nil
	return all
}

// interruptible answers a ctx that a rollback ends.
func (in *inbox) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.interrupt = cancel
	return ctx, func() {
		cancel()
		in.mu.Lock()
		defer in.mu.Unlock()
		in.interrupt = nil
	}
}
