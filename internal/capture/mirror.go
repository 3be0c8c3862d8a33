package capture

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"portward/internal/surface"
)

// A picture is what somebody else drew, whole and in memory of his.
type picture interface {
	lock() (pix []byte, stride int, err error) // rows of the mirror's width, at least
	unlock()
	release() // once, and not while it is locked
}

// A mirror copies the latest of a row of pictures into the buffers of a chain,
// as much of it as changed. It has everything of a Source but the end.
type mirror struct {
	geometry surface.Geometry
	ledger   *ledger
	buffers  []*surface.Buffer

	mu     sync.Mutex
	latest picture // nil before the first and after the end
	ended  bool
}

func newMirror(g surface.Geometry) *mirror { return &mirror{geometry: g, ledger: newLedger(g)} }

func (m *mirror) Geometry() surface.Geometry { return m.geometry }

func (m *mirror) Bind(buffers []*surface.Buffer) error {
	if err := checkBuffers(m.geometry, buffers); err != nil {
		return fmt.Errorf("screen: %w", err)
	}
	m.buffers = buffers
	m.ledger.bind(len(buffers))
	return nil
}

func (m *mirror) Invalidate() { m.ledger.add(m.ledger.whole) }

// show takes a picture over, with what changed since the one before.
func (m *mirror) show(p picture, dirty surface.Region) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		p.release()
		return
	}
	if m.latest != nil {
		m.latest.release()
	}
	m.latest = p
	for _, r := range dirty.Rects() {
		m.ledger.add(r)
	}
}

// end lets go of the picture and answers why the source ended.
func (m *mirror) end(err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.latest != nil {
		m.latest.release()
	}
	m.latest, m.ended = nil, true
	return m.ledger.fail(err)
}

// wait is Wait; it calls check at each tick.
func (m *mirror) wait(ctx context.Context, tick <-chan time.Time, check func()) error {
	return m.ledger.wait(ctx, tick, check)
}

// await answers what comes on done. If ctx ends first it answers why, and late,
// if there is one, gets what comes then.
func await(ctx context.Context, done <-chan error, late func(error)) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if late != nil {
			go func() { late(<-done) }()
		}
		return context.Cause(ctx)
	}
}

// Fill copies under the lock: a picture that comes meanwhile waits, so what is
// taken off the books is what is copied.
func (m *mirror) Fill(slot int) (surface.Region, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stale, fresh, err := m.ledger.take(slot)
	if err != nil || stale.Empty() {
		return fresh, err
	}
	if m.latest == nil {
		return surface.Region{}, fmt.Errorf("%w: no picture", os.ErrInvalid)
	}
	pix, stride, err := m.latest.lock()
	if err != nil {
		return surface.Region{}, m.ledger.fail(fmt.Errorf("%w: %w", ErrGone, err))
	}
	defer m.latest.unlock()
	for _, r := range stale.Rects() {
		copyPart(m.buffers[slot].Pix, m.geometry.Stride, pix, stride, r)
	}
	return fresh, nil
}

// copyPart copies a part of a picture to the same place of another.
func copyPart(to []byte, toStride int, from []byte, fromStride int, r surface.Rect) {
	n := r.W * surface.BytesPerPixel
	for y := r.Y; y < r.Y+r.H; y++ {
		t, f := y*toStride+r.X*surface.BytesPerPixel, y*fromStride+r.X*surface.BytesPerPixel
		copy(to[t:t+n], from[f:f+n])
	}
}
