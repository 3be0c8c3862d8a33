package surface

import (
	"context"
	"errors"
	"time"
)

// Acquire answers a free buffer, held by the caller until Submit or Return. It
// waits while all are out, unless the channel breaks (ErrLost: only Connect
// makes slots free again then) or the chain is closed, and while those that are
// free are still read by a consumer of before.
func (c *Chain) Acquire(ctx context.Context) (*Buffer, error) {
	for {
		l := c.current()
		b, err := c.take()
		switch {
		case errors.Is(err, errOut):
			b, err = c.await(ctx, l)
		case errors.Is(err, errInUse):
			err = c.pause(ctx)
		}
		if b != nil || err != nil && !errors.Is(err, errInUse) {
			return b, err
		}
	}
}

// await waits for a slot to be released, or for the end of the channel on which
// that would be. Neither a slot nor an error: try again.
func (c *Chain) await(ctx context.Context, l *link) (*Buffer, error) {
	select {
	case i := <-c.free:
		return c.hold(i)
	case <-l.lost:
		// A slot that was released before the loss counts.
		if b, err := c.take(); !errors.Is(err, errOut) {
			return b, err
		}
		if c.isClosed() {
			return nil, ErrClosed
		}
		if l == c.current() {
			return nil, l.err
		}
		return nil, nil
	case <-c.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pause is for what nobody tells: that a slot is not in use any more.
func (c *Chain) pause(ctx context.Context) error {
	select {
	case <-time.After(inUsePause):
		return nil
	case <-c.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TryAcquire is Acquire without the waiting.
func (c *Chain) TryAcquire() (*Buffer, bool) {
	b, err := c.take()
	return b, err == nil
}

// Why take has none.
var (
	errOut   = errors.New("all slots are out")
	errInUse = errors.New("slot is in use")
)

const inUsePause = 2 * time.Millisecond

// take holds the free slot that is free for longest and not in use.
func (c *Chain) take() (*Buffer, error) {
	none := errOut
	for range Slots {
		select {
		case i := <-c.free:
			b, err := c.hold(i)
			if !errors.Is(err, errInUse) {
				return b, err
			}
			none = err
		default:
			return nil, none
		}
	}
	return nil, none
}

// hold hands a slot that came out of free to the caller, or back.
func (c *Chain) hold(i int) (*Buffer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed() {
		return nil, ErrClosed
	}
	b := c.buffers[i]
	if b.mem.inUse() {
		c.free <- i
		return nil, errInUse
	}
	pix, err := b.mem.lock()
	if err != nil {
		c.free <- i
		return nil, err
	}
	if &pix[0] != &b.Pix[0] { // most stay where they are, and others may look at the length
		b.Pix = pix
	}
	c.slots[i].state = slotHeld
	c.users++
	return b, nil
}
