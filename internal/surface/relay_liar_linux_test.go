package surface

import (
	"errors"
	"testing"

	"portward/internal/wire"
)

// Rule: whatever surfaces a peer has, no more frames of it are out than a chain
// has slots.
func TestSinkRefusesMoreFramesThanSlots(t *testing.T) {
	noLeaks(t)
	c, err := NewChain(square)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range Slots { // an end that lies: it acquires nothing, and has a fourth slot
		<-c.free
	}
	c.slots = append(c.slots, slot{})
	peer, err := c.Connect()
	if err != nil {
		t.Fatal(err)
	}
	var all []wire.Handle
	for _, h := range c.Surfaces() {
		f, _ := h.File()
		all = append(all, wire.Surface(dupFile(t, f)))
	}
	s, err := Open(square, append(all, wire.Surface(honestMemory(t))), wire.FD(peer), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range c.slots {
		c.mu.Lock()
		err := c.sendLocked(i, Region{})
		c.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Next(deadline(t))
		if last := i == Slots; last != errors.Is(err, ErrHostile) {
			t.Fatalf("frame %d: %v", i+1, err)
		}
		if err == nil {
			defer f.Release()
		}
	}
	c.slots = c.slots[:Slots]
}
