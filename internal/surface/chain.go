package surface

import (
	"errors"
	"fmt"
	"os"
	"sync"

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
	// OnRelease, if set before Connect, is called for each frame that the
	// consumer gave back, one at a time, and must neither block nor call
	// Connect or Close. Frames whose consumer died are not given back.
	OnRelease func(seq uint32)

	geometry Geometry
	channels channels
	buffers  []*Buffer
	free     chan int      // the slots that are free, oldest first
	closed   chan struct{} // closed by Close

	connecting sync.Mutex // one Connect or Close at a time

	mu       sync.Mutex
	slots    [Slots]slot
	link     *link
	seq      uint32 // of the last frame
	released uint64
	held     int // slots that are held, and one until Close
}

type slotState uint8

const (
	slotFree slotState = iota
	slotHeld           // by who acquired it
	slotOut            // submitted, not released
)

type slot struct {
	state slotState
	seq   uint32 // of the frame that is out
}

// NewChain makes the buffers, all black and all free.
func (p Platform) NewChain(g Geometry) (*Chain, error) {
	if err := g.Check(); err != nil {
		return nil, err
	}
	c := &Chain{geometry: g, channels: p.channels, free: make(chan int, Slots), closed: make(chan struct{}), held: 1}
	c.link = deadLink(ErrLost)
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

// Geometry is what all buffers have.
func (c *Chain) Geometry() Geometry { return c.geometry }

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

// Connect makes a new frame channel and answers the consumer's end of it, to
// be sent with the Surfaces and closed then. The channel before it is dropped:
// what was out there is free again. Sequence numbers go on.
func (c *Chain) Connect() (peer *os.File, err error) {
	c.connecting.Lock()
	defer c.connecting.Unlock()
	if c.isClosed() {
		return nil, ErrClosed
	}
	ch, peer, err := c.channels.create()
	if err != nil {
		return nil, err
	}
	l := newLink(ch)
	c.replace(l)
	go c.read(l)
	return peer, nil
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
	c.letGoLocked(b.Slot, err == nil)
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
	c.letGoLocked(b.Slot, false)
	return nil
}

// Released counts the frames that a consumer gave back, over all channels.
func (c *Chain) Released() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.released
}

// Lost is closed when the current channel breaks, and before the first one.
// Each Connect makes a new one.
func (c *Chain) Lost() <-chan struct{} { return c.current().lost }

// Close drops the channel and lets go of the memory, of a held buffer when it
// is submitted or returned. Consumers keep what they have mapped.
func (c *Chain) Close() error {
	c.connecting.Lock()
	defer c.connecting.Unlock()
	if c.isClosed() {
		return ErrClosed
	}
	c.mu.Lock()
	close(c.closed)
	c.mu.Unlock()
	c.replace(deadLink(ErrClosed))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unholdLocked()
	return nil
}

func (c *Chain) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *Chain) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// mineLocked says whether the caller holds b.
func (c *Chain) mineLocked(b *Buffer) error {
	if b == nil || b.Slot < 0 || b.Slot >= len(c.buffers) || c.buffers[b.Slot] != b || c.slots[b.Slot].state != slotHeld {
		return errors.New("buffer was not acquired")
	}
	return nil
}

// sendLocked is the part of Submit that can go wrong.
func (c *Chain) sendLocked(i int, dirty Region) error {
	d := descriptor{slot: i, seq: c.seq + 1, dirty: dirty}
	switch {
	case c.isClosed():
		return ErrClosed
	case !dirty.within(c.geometry.Bounds()):
		return fmt.Errorf("rectangles %v outside of %v", dirty, c.geometry)
	case c.link.isLost():
		return c.link.err
	case c.seq == maxSeq: // the consumer would take the next one for an old one
		c.seq = 0
		c.link.channel.close()
		return fmt.Errorf("%w: sequence numbers used up", ErrLost)
	}
	if err := c.link.channel.sendFrame(d); err != nil {
		c.link.channel.close()
		return asLost(err)
	}
	c.seq, c.slots[i].seq = d.seq, d.seq
	return nil
}

// letGoLocked ends the hold on a slot: it is out, or free again.
func (c *Chain) letGoLocked(i int, out bool) {
	if out {
		c.slots[i].state = slotOut
	} else {
		c.freeLocked(i)
	}
	c.unholdLocked()
}

func (c *Chain) freeLocked(i int) {
	c.slots[i] = slot{}
	c.free <- i // has room for all slots
}

func (c *Chain) unholdLocked() {
	if c.held--; c.held == 0 {
		c.discard()
	}
}

func (c *Chain) discard() {
	for _, b := range c.buffers {
		b.mem.close()
	}
}
