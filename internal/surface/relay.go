package surface

import (
	"context"
	"errors"
	"fmt"
	"os"

	"portward/internal/wire"
)

// A Lent is one picture in a surface that somebody else made and draws into.
type Lent interface {
	// ID tells this surface from all others of the relay; pictures that come
	// later in the same surface have the same.
	ID() uint64

	// Handle answers a handle to the surface, of the caller's own.
	Handle() wire.Handle

	// Release says that nobody reads the picture any more. The relay calls it
	// once for each picture that it was given, and it must neither wait nor call
	// the relay.
	Release()
}

// A Relay is the producer's end for surfaces that somebody else makes: they
// come to be known one by one, MaxSlots of them at most, each with a slot for
// good. Add, Tell, Room, Submit and Connect belong to one goroutine, the other
// methods to any.
type Relay struct {
	producer
	known    []known
	told     int           // surfaces that the consumer connected last knows
	out      int           // frames
	returned chan struct{} // holds a token when out became less
}

// A known surface, by slot.
type known struct {
	id     uint64
	handle wire.Handle
	lent   Lent // what is out in it
}

// NewRelay makes a relay without surfaces.
func (p Platform) NewRelay(g Geometry) (*Relay, error) {
	if err := g.Check(); err != nil {
		return nil, err
	}
	r := &Relay{returned: make(chan struct{}, 1)}
	r.begin(g, p.channels, relayKeeper{r})
	return r, nil
}

// Surfaces are handles to the surfaces that are known, in the order of their
// slots, to be put in a message. They are borrowed: the relay closes them.
func (r *Relay) Surfaces() []wire.Handle {
	r.mu.Lock()
	defer r.mu.Unlock()
	hs := make([]wire.Handle, len(r.known))
	for i, k := range r.known {
		hs[i] = k.handle
	}
	return hs
}

// Connect is Chain's. The new consumer is taken to get all Surfaces that are
// known now.
func (r *Relay) Connect() (peer *os.File, err error) {
	if peer, err = r.producer.Connect(); err == nil {
		r.told = len(r.known)
	}
	return peer, err
}

// Add makes the surface of l known: a new one gets the next slot. ErrFull means
// that there is no slot for it: only another relay has one.
func (r *Relay) Add(l Lent) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.isClosed():
		return ErrClosed
	case r.slotLocked(l) >= 0:
		return nil
	case len(r.known) == MaxSlots:
		return fmt.Errorf("%w: there are %d already", ErrFull, MaxSlots)
	}
	r.known = append(r.known, known{id: l.ID(), handle: l.Handle()})
	r.slots = append(r.slots, slot{})
	return nil
}

// Tell has tell told of each surface that was added since Connect, in the order of
// their slots: it borrows the handle, and answers when it is the consumer's
// (Sink.Add). One whose telling fails is told again, or comes with the next Connect.
func (r *Relay) Tell(tell func(wire.Handle) error) error {
	for ; r.told < len(r.known); r.told++ {
		if err := tell(r.known[r.told].handle); err != nil {
			return err
		}
	}
	return nil
}

// slotLocked answers -1 for a surface that is not known.
func (r *Relay) slotLocked(l Lent) int {
	id := l.ID()
	for i, k := range r.known {
		if k.id == id {
			return i
		}
	}
	return -1
}

// Room waits until less than Slots frames are out, so that Submit has room for
// one more. A channel that breaks gives back all that is out.
func (r *Relay) Room(ctx context.Context) error {
	for {
		switch {
		case r.isClosed():
			return ErrClosed
		case r.hasRoom():
			return nil
		}
		select {
		case <-r.returned:
		case <-r.closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Relay) hasRoom() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out < Slots
}

// Submit sends a picture in a surface that was added, with the part of it that
// changed since the last frame. It never waits. Whatever it answers, l is not
// the caller's any more: it is released when the consumer gave it back, when
// the channel breaks, or at once, with an error.
func (r *Relay) Submit(l Lent, dirty Region) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, err := r.slotForLocked(l)
	if err == nil {
		err = r.sendLocked(i, dirty)
	}
	if err != nil {
		l.Release()
		return err
	}
	r.known[i].lent = l
	r.out++
	return nil
}

func (r *Relay) slotForLocked(l Lent) (int, error) {
	i := r.slotLocked(l)
	switch {
	case r.isClosed():
		return i, ErrClosed
	case r.link.isLost():
		return i, r.link.err
	case i < 0 || i >= r.told:
		return i, errors.New("surface was not told")
	case r.slots[i].state != slotFree:
		return i, errors.New("surface is out")
	case r.out == Slots:
		return i, errOut
	}
	return i, nil
}

// A relayKeeper gives back what was lent. A frame whose channel is gone is
// nobody's; its surface may still be read there, which the surface itself knows
// where it matters (IOSurface's use count).
type relayKeeper struct{ r *Relay }

func (k relayKeeper) freeLocked(i int) {
	k.r.known[i].lent.Release()
	k.r.known[i].lent = nil
	k.r.out--
	select {
	case k.r.returned <- struct{}{}:
	default:
	}
}

func (k relayKeeper) lostLocked() { k.r.freeOutLocked() }

func (k relayKeeper) discardLocked() {
	for _, s := range k.r.known {
		s.handle.Close()
	}
}
