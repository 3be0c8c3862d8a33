package capture

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"portward/internal/surface"
)

// A lending has the latest of a row of pictures that somebody else draws, and
// lends it. It has everything of a Lender but the end.
type lending struct {
	change waiter // of what Wait looks at

	mu       sync.Mutex
	geometry surface.Geometry // of the first picture and all others
	latest   *picture         // nil before the first and after the end
	fresh    surface.Region   // what changed since one was lent
	out      map[uint64]bool  // surfaces that are lent
	err      error            // why the source ended; the first reason stays
}

// A picture counts who needs it: l, as long as it is the latest, and each who
// borrowed it. It is let go when nobody does.
type picture struct {
	surface.Lent
	l     *lending
	users int
}

func newLending() *lending {
	return &lending{change: newWaiter(), out: map[uint64]bool{}}
}

func (l *lending) Geometry() surface.Geometry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.geometry
}

func (l *lending) Invalidate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addLocked(surface.RegionOf(l.geometry.Bounds()))
}

func (l *lending) addLocked(r surface.Region) {
	l.fresh = l.fresh.Union(r)
	l.change.signal()
}

// show takes a picture over, with what changed since the one before. The first
// one says what geometry all of them have.
func (l *lending) show(p surface.Lent, g surface.Geometry, dirty surface.Region) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.geometry == (surface.Geometry{}) {
		l.geometry, dirty = g, surface.RegionOf(g.Bounds())
	}
	if g != l.geometry {
		l.endLocked(fmt.Errorf("%w: the system draws %v", ErrGeometry, g))
	}
	if l.err != nil {
		p.Release()
		return
	}
	l.dropLocked(l.latest)
	l.latest = &picture{p, l, 1}
	l.addLocked(dirty.Clip(g.Bounds()))
}

// end lets go of the picture and answers why the source ended. What is lent
// stays so.
func (l *lending) end(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.endLocked(err)
}

func (l *lending) endLocked(err error) error {
	if l.err == nil {
		l.err = err
	}
	l.dropLocked(l.latest)
	l.latest = nil
	l.change.signal()
	return l.err
}

func (l *lending) dropLocked(p *picture) {
	if p == nil {
		return
	}
	if p.users--; p.users == 0 {
		p.Lent.Release()
	}
}

// Lend answers the latest picture, and what changed since one was lent. It is
// the borrower's until he releases it.
func (l *lending) Lend() (surface.Lent, surface.Region, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return nil, surface.Region{}, l.err
	case l.latest == nil || l.out[l.latest.ID()]:
		return nil, surface.Region{}, fmt.Errorf("%w: no picture, or it is out", os.ErrInvalid)
	}
	p, fresh := l.latest, l.fresh
	p.users++
	l.out[p.ID()] = true
	l.fresh = surface.Region{}
	return &loan{picture: p}, fresh, nil
}

// A loan is a picture for one who borrowed it.
type loan struct {
	*picture
	once sync.Once
}

func (o *loan) Release() {
	o.once.Do(func() {
		l := o.l
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.out, o.ID())
		l.dropLocked(o.picture)
		l.change.signal()
	})
}

// begun waits for the first picture, or the end.
func (l *lending) begun(ctx context.Context) error {
	return l.until(ctx, nil, nil, func() bool { return l.latest != nil })
}

// wait is Wait; it calls look at each tick.
func (l *lending) wait(ctx context.Context, tick <-chan time.Time, look func()) error {
	return l.until(ctx, tick, look, func() bool {
		return l.latest != nil && !l.fresh.Empty() && !l.out[l.latest.ID()]
	})
}

// until waits until ok, which is asked under the lock.
func (l *lending) until(ctx context.Context, tick <-chan time.Time, look func(), ok func() bool) error {
	return l.change.until(ctx, tick, look, func() (bool, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.err == nil && ok(), l.err
	})
}
