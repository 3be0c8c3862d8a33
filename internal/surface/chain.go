package surface

import (
	"errors"
	"fmt"
	"os"

	"portward/internal/wire"
)

// A Buffer is one slot of a Chain. Pix has a geometry's size and may be written
// (or looked into) between Acquire and Submit and at no other time. File, for
// those who let somebody else write, is the chain's, and nil where surfaces are
// no files.
type Buffer struct {
	Slot int
	Pix  []byte
	File *os.File

	mem memory
}

// A Chain is the producer's end: three buffers of one geometry and, between
// Connect and the loss of it, a channel to a consumer. Its methods may be
// called from several goroutines.
type Chain struct {
	producer
	buffers []*Buffer
	free    chan int // the slots that are free, oldest first
}

// NewChain makes the buffers, all black and all free.
func (p Platform) NewChain(g Geometry) (*Chain, error) {
	if err := g.Check(); err != nil {
		return nil, err
	}
	c := &Chain{free: make(chan int, Slots)}
	c.begin(g, p.channels, chainKeeper{c})
	c.slots = make([]slot, Slots)
	for i := range Slots {
		b, err := newBuffer(p.memories, g, i)
		if err != nil {
			c.discard()
			return nil, fmt.Errorf("surface %d: %w", i, err)
		}
		c.buffers = append(c.buffers, b)
		c.free <- i
	}
	return c, nil
}

func newBuffer(ms memories, g Geometry, slot int) (*Buffer, error) {
	m, err := ms.create(g)
	if err != nil {
		return nil, err
	}
	pix, err := m.lock()
	if err != nil {
		m.close()
		return nil, err
	}
	defer m.unlock()
	f, _ := m.handle().File()
	return &Buffer{Slot: slot, Pix: pix, File: f, mem: m}, nil
}

// Buffers are the chain's slots, in their order.
func (c *Chain) Buffers() []*Buffer { return c.buffers }

// Surfaces are handles to the buffers, to be put in a message. They are
// borrowed: the chain closes them.
func (c *Chain) Surfaces() []wire.Handle {
	hs := make([]wire.Handle, len(c.buffers))
	for i, b := range c.buffers {
		hs[i] = b.mem.handle()
	}
	return hs
}

// Submit sends an acquired buffer to the consumer, with the part of it that
// changed since the last frame. It never waits. Whatever it answers, the
// buffer is not the caller's any more: with an error (ErrLost when there is no
// channel) it is free again.
func (c *Chain) Submit(b *Buffer, dirty Region) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.mineLocked(b); err != nil {
		return err
	}
	b.mem.unlock() // before the consumer hears of it
	err := c.sendLocked(b.Slot, dirty)
	if err != nil {
		c.freeLocked(b.Slot)
	}
	c.leaveLocked()
	return err
}

// Return gives an acquired buffer back without a frame.
func (c *Chain) Return(b *Buffer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.mineLocked(b); err != nil {
		return err
	}
	b.mem.unlock()
	c.freeLocked(b.Slot)
	c.leaveLocked()
	return nil
}

// mineLocked says whether the caller holds b.
func (c *Chain) mineLocked(b *Buffer) error {
	if b == nil || b.Slot < 0 || b.Slot >= len(c.buffers) || c.buffers[b.Slot] != b || c.slots[b.Slot].state != slotHeld {
		return errors.New("buffer was not acquired")
	}
	return nil
}

func (c *Chain) discard() {
	for _, b := range c.buffers {
		b.mem.close()
	}
}

// A chainKeeper keeps slots for Acquire.
type chainKeeper struct{ c *Chain }

func (k chainKeeper) freeLocked(i int) { k.c.free <- i } // has room for all slots
func (chainKeeper) lostLocked()        {}
func (k chainKeeper) discardLocked()   { k.c.discard() }
