package main

import (
	"context"
	"sync"
	"time"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// tellEvery is the least time between two leases that the supervisor is told,
// and how long a shorter one must have been the latest before it is: an agent
// that reconnects asks again at once, and no update shall slip in between.
const tellEvery = time.Second

// leases is until when agents ask not to be disturbed. Netchild itself asks for
// nothing.
type leases struct {
	changed chan struct{} // holds one: run has something to look at

	mu         sync.Mutex
	held       map[*agent]time.Time
	supervisor *xpcpeer.Conn // that was checked in with; nil: nobody to tell
	told       bool          // it knows said
	said       time.Time
}

func newLeases() *leases {
	return &leases{changed: make(chan struct{}, 1), held: map[*agent]time.Time{}}
}

// set takes what an agent asks, in place of what it asked before; the zero time
// is nothing.
func (l *leases) set(a *agent, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until.IsZero() {
		delete(l.held, a)
	} else {
		l.held[a] = until
	}
	l.wakeLocked()
}

// to says whom to tell from now on: a supervisor that knows nothing yet. It
// must have been checked in with.
func (l *leases) to(c *xpcpeer.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.supervisor, l.told, l.said = c, false, time.Time{}
	l.wakeLocked()
}

func (l *leases) wakeLocked() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *leases) latestLocked() time.Time {
	latest := time.Time{}
	for _, until := range l.held {
		if until.After(latest) {
			latest = until
		}
	}
	return latest
}

// longer says whether the supervisor would learn of more than it was told.
func (l *leases) longer() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latestLocked().After(l.said)
}

// next answers what to tell whom; nil: there is nothing to tell.
func (l *leases) next() (*xpcpeer.Conn, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest := l.latestLocked()
	if l.supervisor == nil || l.told && latest.Equal(l.said) {
		return nil, latest
	}
	l.told, l.said = true, latest
	return l.supervisor, latest
}

// run tells the supervisor the latest lease until ctx ends. After each check-in
// it is told, also that there is none: it may have kept one of an earlier life.
func (l *leases) run(ctx context.Context) {
	for {
		select {
		case <-l.changed:
		case <-ctx.Done():
			return
		}
		if !l.settle(ctx) {
			return
		}
		c, until := l.next()
		if c == nil {
			continue
		}
		c.Send(ctx, wire.Lease{Until: until}.Dict()) // else it is gone, and the next one is told
		if !rest(ctx, tellEvery) {
			return
		}
	}
}

// settle waits until there is more to tell, or a while; false: ctx ended.
func (l *leases) settle(ctx context.Context) bool {
	t := time.NewTimer(tellEvery)
	defer t.Stop()
	for !l.longer() {
		select {
		case <-t.C:
			return true
		case <-l.changed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// rest waits for d; false: ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
