package capture

import (
	"context"
	"fmt"
	"sync"
	"time"

	"portward/internal/surface"
)

// A ledger keeps which part of which slot is out of date. Slots are filled in
// any order and none of them every time, so each has a region of its own: the
// damage since it was last filled. The region's own coarseness bounds what is kept.
type ledger struct {
	whole  surface.Rect
	change waiter // of fresh or err

	mu    sync.Mutex
	stale []surface.Region // by slot: damage since it was filled
	fresh surface.Region   // damage since any slot was filled
	err   error            // why the source ended; the first reason stays
}

// newLedger answers a ledger without slots in which everything is fresh.
func newLedger(g surface.Geometry) *ledger {
	return &ledger{whole: g.Bounds(), fresh: surface.RegionOf(g.Bounds()), change: newWaiter()}
}

// bind starts again with so many slots, all of them wholly out of date.
func (l *ledger) bind(slots int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stale = make([]surface.Region, slots)
	l.addLocked(l.whole)
}

// add notes damage; what lies outside the picture does not count.
func (l *ledger) add(r surface.Rect) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addLocked(r.Clip(l.whole))
}

func (l *ledger) addLocked(r surface.Rect) {
	if r.Empty() {
		return
	}
	for i := range l.stale {
		l.stale[i] = l.stale[i].Add(r)
	}
	l.fresh = l.fresh.Add(r)
	l.change.signal()
}

// take answers what must be drawn to bring the slot up to date and what changed
// since the last take of any slot, and takes both off the books.
func (l *ledger) take(slot int) (stale, fresh surface.Region, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return stale, fresh, l.err
	}
	if slot < 0 || slot >= len(l.stale) {
		return stale, fresh, fmt.Errorf("slot %d of %d is not bound", slot, len(l.stale))
	}
	stale, fresh = l.stale[slot], l.fresh
	l.stale[slot], l.fresh = surface.Region{}, surface.Region{}
	return stale, fresh, nil
}

// fail ends the source, unless it ended already, and answers why it did.
func (l *ledger) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.change.signal()
	return l.err
}

// wait blocks until there is fresh damage, the source ended, or ctx did. It
// calls step at each tick meanwhile; a nil tick never comes.
func (l *ledger) wait(ctx context.Context, tick <-chan time.Time, step func()) error {
	return l.change.until(ctx, tick, step, l.ready)
}

func (l *ledger) ready() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.fresh.Empty(), l.err
}
