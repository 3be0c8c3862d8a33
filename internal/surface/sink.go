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

// A Sink is the consumer's end of a chain. One goroutine calls Next; the other
// methods, and Release, belong to anyone.
type Sink struct {
	geometry Geometry
	platform Platform
	memories []memory
	channel  channel
	account  *Account

	mu     sync.Mutex
	out    [Slots]uint32 // the frame that is out in a slot, or 0
	last   uint32        // sequence number of the last frame
	users  int           // frames out, and one until Close
	closed bool
	err    error // why nothing more will come
}

// Open checks what a peer sent and maps it. It owns the handles, and closes
// them, whatever it answers: ErrLimit beyond the account, ErrHostile (after the
// platform's rules) for a peer that lies. A nil account counts nothing.
func (p Platform) Open(g Geometry, surfaces []wire.Handle, frames wire.Handle, a *Account) (*Sink, error) {
	defer closeAll(append([]wire.Handle{frames}, surfaces...))
	if err := g.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHostile, err)
	}
	if err := checkHandles(surfaces); err != nil {
		return nil, err
	}
	f, ok := frames.File()
	if !ok || frames.Kind != wire.HandleFD {
		return nil, fmt.Errorf("%w: frame channel is no descriptor", ErrHostile)
	}
	s := &Sink{geometry: g, platform: p, account: a, users: 1}
	if err := a.take(s.bytes()); err != nil {
		return nil, err
	}
	if err := s.open(surfaces, f); err != nil {
		a.giveBack(s.bytes())
		return nil, err
	}
	return s, nil
}

func (s *Sink) open(surfaces []wire.Handle, frames *os.File) (err error) {
	if s.channel, err = s.platform.channels.adopt(frames); err != nil {
		return err
	}
	if s.memories, err = s.platform.memories.adopt(surfaces, s.geometry); err != nil {
		s.channel.close()
	}
	return err
}

func checkHandles(surfaces []wire.Handle) error {
	if len(surfaces) != Slots {
		return fmt.Errorf("%w: %d surfaces instead of %d", ErrHostile, len(surfaces), Slots)
	}
	for i, h := range surfaces {
		if h.Object == nil || h.Kind != wire.HandleSurface {
			return fmt.Errorf("%w: surface %d is none", ErrHostile, i)
		}
	}
	return nil
}

func closeAll(hs []wire.Handle) {
	for _, h := range hs {
		h.Close()
	}
}

// bytes is what the sink's memory counts for.
func (s *Sink) bytes() int64 { return int64(s.geometry.Size()) * Slots }

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
	if err := s.take(d); err != nil {
		return Frame{}, err
	}
	pix, err := s.memories[d.slot].lock()
	if err != nil {
		return Frame{}, s.unreadable(d.slot, err)
	}
	return Frame{Seq: d.seq, Geometry: s.geometry, Dirty: d.dirty, Pix: pix, sink: s, slot: d.slot}, nil
}

// take holds a descriptor against what came before; its slot is out then.
func (s *Sink) take(d descriptor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := d.inside(s.geometry)
	switch {
	case s.err != nil:
		return s.err
	case err != nil:
		return s.dieLocked(err)
	case d.seq <= s.last:
		return s.dieLocked(fmt.Errorf("%w: frame %d after frame %d", ErrHostile, d.seq, s.last))
	case s.out[d.slot] != 0:
		return s.dieLocked(fmt.Errorf("%w: frame %d in slot %d, which is out", ErrHostile, d.seq, d.slot))
	}
	s.out[d.slot], s.last = d.seq, d.seq
	s.users++
	return nil
}

// unreadable takes back what take did, and ends the sink.
func (s *Sink) unreadable(slot int, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out[slot] = 0
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
	if s.out[slot] != seq {
		return errReleased
	}
	s.out[slot] = 0
	s.memories[slot].unlock() // before the producer hears of it
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
	if s.err == nil || s.closed {
		s.err = err
	}
	if s.closed {
		s.err = ErrClosed
	}
	s.channel.close()
	return s.err
}

func (s *Sink) leaveLocked() {
	if s.users--; s.users == 0 {
		closeMemories(s.memories)
		s.account.giveBack(s.bytes())
	}
}
