package surface

import (
	"fmt"
	"os"
	"sync"
)

// A producer is what Chain and Relay have in common: slots, the frames that are
// out in them, and the channel to a consumer.
type producer struct {
	// OnRelease, if set before Connect, is called for each frame that the
	// consumer gave back, one at a time, and must neither block nor call
	// Connect or Close. Frames whose consumer died are not given back.
	OnRelease func(seq uint32)

	geometry Geometry
	channels channels
	keeper   keeper
	closed   chan struct{} // closed by Close

	connecting sync.Mutex // one Connect or Close at a time

	mu       sync.Mutex
	slots    []slot
	link     *link
	seq      uint32 // of the last frame
	released uint64
	users    int // slots that are held, and one until Close
}

// A keeper owns the surfaces behind the slots. Its methods are called with mu
// held.
type keeper interface {
	freeLocked(slot int) // no consumer has it any more
	lostLocked()         // the link broke: what is out there may stay so until the next one
	discardLocked()      // after Close, when no slot is held
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

func (p *producer) begin(g Geometry, cs channels, k keeper) {
	p.geometry, p.channels, p.keeper = g, cs, k
	p.closed, p.link, p.users = make(chan struct{}), deadLink(ErrLost), 1
}

// Geometry is what all surfaces have.
func (p *producer) Geometry() Geometry { return p.geometry }

// Connect makes a new frame channel and answers the consumer's end of it, to
// be sent with the Surfaces and closed then. The channel before it is dropped:
// nothing is out there any more. Sequence numbers go on.
func (p *producer) Connect() (peer *os.File, err error) {
	p.connecting.Lock()
	defer p.connecting.Unlock()
	if p.isClosed() {
		return nil, ErrClosed
	}
	ch, peer, err := p.channels.create()
	if err != nil {
		return nil, err
	}
	l := newLink(ch)
	p.replace(l)
	go p.read(l)
	return peer, nil
}

// Released counts the frames that a consumer gave back, over all channels.
func (p *producer) Released() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released
}

// Lost is closed when the current channel breaks, and before the first one.
// Each Connect makes a new one.
func (p *producer) Lost() <-chan struct{} { return p.current().lost }

// Close drops the channel and lets go of the surfaces, of a held buffer when it
// is submitted or returned. Consumers keep what they have mapped.
func (p *producer) Close() error {
	p.connecting.Lock()
	defer p.connecting.Unlock()
	if p.isClosed() {
		return ErrClosed
	}
	p.mu.Lock()
	close(p.closed)
	p.mu.Unlock()
	p.replace(deadLink(ErrClosed))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked()
	return nil
}

func (p *producer) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

func (p *producer) current() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link
}

// sendLocked sends a frame; its slot is out then.
func (p *producer) sendLocked(i int, dirty Region) error {
	d := descriptor{slot: i, seq: p.seq + 1, dirty: dirty}
	switch {
	case p.isClosed():
		return ErrClosed
	case !dirty.within(p.geometry.Bounds()):
		return fmt.Errorf("rectangles %v outside of %v", dirty, p.geometry)
	case p.link.isLost():
		return p.link.err
	case p.seq == maxSeq: // the consumer would take the next one for an old one
		p.seq = 0
		p.link.channel.close()
		return fmt.Errorf("%w: sequence numbers used up", ErrLost)
	}
	if err := p.link.channel.sendFrame(d); err != nil {
		p.link.channel.close()
		return asLost(err)
	}
	p.seq, p.slots[i] = d.seq, slot{slotOut, d.seq}
	return nil
}

func (p *producer) freeLocked(i int) {
	p.slots[i] = slot{}
	p.keeper.freeLocked(i)
}

func (p *producer) freeOutLocked() {
	for i := range p.slots {
		if p.slots[i].state == slotOut {
			p.freeLocked(i)
		}
	}
}

func (p *producer) leaveLocked() {
	if p.users--; p.users == 0 {
		p.keeper.discardLocked()
	}
}
