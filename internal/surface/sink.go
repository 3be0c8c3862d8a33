package surface

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"portward/internal/wire"
)

// A Frame is one picture of a Sink. Pix is the whole of it, read-only, and
// stays mapped until Release, even when the Sink was closed or its producer
// died before. The producer can write into it at any time: believe no byte of
// it twice.
type Frame struct {
	Seq uint32
	Geometry
	Dirty Region // what changed since the frame before
	Pix   []byte

	sink *Sink
	slot int
}

// A Sink is the consumer's end of a chain, or of a relay. One goroutine calls
// Next; the other methods, and Release, belong to anyone.
type Sink struct {
	geometry Geometry
	platform Platform
	channel  channel
	account  *Account

	mu     sync.Mutex
	slots  []place
	last   uint32 // sequence number of the last frame
	users  int    // frames out, and one until Close
	closed bool
	err    error // why nothing more will come
}

// A place is one slot, seen by the consumer.
type place struct {
	memory
	identity
	out uint32 // the frame that is out in it, or 0
}

// Open checks what a peer sent and maps it. It owns the handles, and closes
// them, whatever it answers: ErrLimit beyond the account, ErrHostile (after the
// platform's rules) for a peer that lies. A nil account counts nothing.
func (p Platform) Open(g Geometry, surfaces []wire.Handle, frames wire.Handle, a *Account) (*Sink, error) {
	defer closeAll(append([]wire.Handle{frames}, surfaces...))
	if err := g.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHostile, err)
	}
	if n := len(surfaces); n < 1 || n > MaxSlots {
		return nil, fmt.Errorf("%w: %d surfaces are not 1 to %d", ErrHostile, n, MaxSlots)
	}
	f, ok := frames.File()
	if !ok || frames.Kind != wire.HandleFD {
		return nil, fmt.Errorf("%w: frame channel is no descriptor", ErrHostile)
	}
	s := &Sink{geometry: g, platform: p, account: a, users: 1}
	if err := a.take(1, 0); err != nil {
		return nil, err
	}
	if err := s.open(surfaces, f); err != nil {
		s.discardLocked()
		return nil, err
	}
	return s, nil
}

func (s *Sink) open(surfaces []wire.Handle, frames *os.File) (err error) {
	for _, h := range surfaces {
		if err := s.addLocked(h); err != nil {
			return err
		}
	}
	s.channel, err = s.platform.channels.adopt(frames)
	return err
}

// Add maps one surface more, which gets the next slot: frames may come in it
// from now on. It owns the handle, and checks as Open does. Whatever it
// answers, the sink is as before otherwise.
func (s *Sink) Add(h wire.Handle) error {
	defer h.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return s.addLocked(h)
}

func (s *Sink) addLocked(h wire.Handle) error {
	n := len(s.slots)
	switch {
	case n == MaxSlots:
		return fmt.Errorf("%w: more than %d surfaces", ErrHostile, MaxSlots)
	case h.Object == nil || h.Kind != wire.HandleSurface:
		return fmt.Errorf("%w: surface %d is none", ErrHostile, n)
	}
	if err := s.account.take(0, int64(s.geometry.Size())); err != nil {
		return err
	}
	p, err := s.adoptLocked(h)
	if err != nil {
		s.account.giveBack(0, int64(s.geometry.Size()))
		return fmt.Errorf("surface %d: %w", n, err)
	}
	s.slots = append(s.slots, p)
	return nil
}

func (s *Sink) adoptLocked(h wire.Handle) (place, error) {
	m, id, err := s.platform.memories.adopt(h, s.geometry)
	if err != nil {
		return place{}, err
	}
	for _, other := range s.slots {
		if other.identity == id {
			m.close()
			return place{}, fmt.Errorf("%w: the same memory twice", ErrHostile)
		}
	}
	return place{memory: m, identity: id}, nil
}

func closeAll(hs []wire.Handle) {
	for _, h := range hs {
		h.Close()
	}
}

// Geometry is what all frames have.
func (s *Sink) Geometry() Geometry { return s.geometry }

// Next waits for a frame. Its errors are the context's, after which the sink
// is as before, or final: ErrLost when the producer is gone, ErrHostile when
// it lied, ErrClosed after Close. After a final one the producer finds its
// channel broken; frames that are out stay readable.
func (s *Sink) Next(ctx context.Context) (Frame, error) {
	if err := s.dead(); err != nil {
		return Frame{}, err
	}
	d, err := s.channel.recvFrame(ctx)
	if err != nil && err == ctx.Err() {
		return Frame{}, err
	}
	if err != nil {
		return Frame{}, s.die(err)
	}
	return s.accept(d)
}

// accept makes a frame of a descriptor. The lock is taken without mu: a peer's
// surface may let one wait, and Close must not.
func (s *Sink) accept(d descriptor) (Frame, error) {
	m, err := s.take(d)
	if err != nil {
		return Frame{}, err
	}
	pix, err := m.lock()
	if err != nil {
		return Frame{}, s.unreadable(d.slot, err)
	}
	return Frame{Seq: d.seq, Geometry: s.geometry, Dirty: d.dirty, Pix: pix, sink: s, slot: d.slot}, nil
}

// take holds a descriptor against what came before; its slot is out then.
func (s *Sink) take(d descriptor) (memory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if err := s.checkLocked(d); err != nil {
		return nil, s.dieLocked(fmt.Errorf("%w: %w", ErrHostile, err))
	}
	s.slots[d.slot].out, s.last = d.seq, d.seq
	s.users++
	return s.slots[d.slot].memory, nil
}

func (s *Sink) checkLocked(d descriptor) error {
	switch {
	case !d.dirty.within(s.geometry.Bounds()):
		return fmt.Errorf("rectangles %v outside of %v", d.dirty, s.geometry)
	case d.seq <= s.last:
		return fmt.Errorf("frame %d after frame %d", d.seq, s.last)
	case d.slot >= len(s.slots):
		return fmt.Errorf("frame %d in slot %d of %d", d.seq, d.slot, len(s.slots))
	case s.slots[d.slot].out != 0:
		return fmt.Errorf("frame %d in slot %d, which is out", d.seq, d.slot)
	case s.users > Slots:
		return fmt.Errorf("frame %d while %d are out", d.seq, Slots)
	}
	return nil
}

// unreadable takes back what take did, and ends the sink.
func (s *Sink) unreadable(slot int, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots[slot].out = 0
	err := s.dieLocked(fmt.Errorf("%w: surface %d: %w", ErrHostile, slot, why))
	s.leaveLocked()
	return err
}

var errReleased = errors.New("frame was released before")

// Release gives the frame back to the producer, exactly once; Pix must not be
// read any more. It never waits. The frame is released whatever the answer:
// an error says that the producer will not learn of it.
func (f Frame) Release() error {
	if f.sink == nil {
		return errReleased
	}
	return f.sink.release(f.slot, f.Seq)
}

func (s *Sink) release(slot int, seq uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[slot].out != seq {
		return errReleased
	}
	s.slots[slot].out = 0
	s.slots[slot].unlock() // before the producer hears of it
	err := s.err
	if err == nil {
		if err = s.channel.sendRelease(descriptor{slot: slot, seq: seq}); err != nil {
			err = s.dieLocked(err)
		}
	}
	s.leaveLocked()
	return err
}

// Close ends the sink and wakes Next. The producer learns of it from the
// broken channel, and so gets back what is out. The memory goes, and the
// account is relieved, when the last frame that is out was released.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.closed = true
	s.dieLocked(ErrClosed)
	s.leaveLocked()
	return nil
}

func (s *Sink) dead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Sink) die(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dieLocked(err)
}

// dieLocked answers why the sink died first; Close has the last word.
func (s *Sink) dieLocked(err error) error {
	switch {
	case s.closed:
		s.err = ErrClosed
	case s.err == nil:
		s.err = err
	}
	s.channel.close()
	return s.err
}

func (s *Sink) leaveLocked() {
	if s.users--; s.users == 0 {
		s.discardLocked()
	}
}

func (s *Sink) discardLocked() {
	for _, p := range s.slots {
		p.close()
	}
	s.account.giveBack(1, int64(len(s.slots))*int64(s.geometry.Size()))
}
