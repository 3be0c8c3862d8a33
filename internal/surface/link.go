package surface

import (
	"errors"
	"fmt"
)

// A link is one connection to one consumer.
type link struct {
	channel channel
	lost    chan struct{} // closed when the link is of no use any more
	done    chan struct{} // closed when its reader has ended
	err     error         // why it was lost; set before lost is closed
}

// replace makes l the current link, frees what was out on the one before, and
// waits until nobody reads that one any more. c.connecting is held.
func (c *Chain) replace(l *link) {
	c.mu.Lock()
	old := c.link
	c.link = l
	for i := range c.slots {
		if c.slots[i].state == slotOut {
			c.freeLocked(i)
		}
	}
	c.mu.Unlock()
	old.close()
	<-old.done
}

// read takes releases until the link is lost. It belongs to Connect; replace
// waits for it.
func (c *Chain) read(l *link) {
	defer close(l.done)
	for {
		d, err := l.channel.recvRelease()
		if err == nil {
			err = c.release(l, d)
		}
		if err != nil {
			l.close()
			c.mu.Lock()
			l.lose(asLost(err))
			c.mu.Unlock()
			return
		}
		if c.OnRelease != nil {
			c.OnRelease(d.seq)
		}
	}
}

// release frees a slot, if that frame is out on this link.
func (c *Chain) release(l *link, d descriptor) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l != c.link {
		return ErrLost
	}
	if s := c.slots[d.slot]; s.state != slotOut || s.seq != d.seq {
		return fmt.Errorf("%w: release of frame %d in slot %d, which is not out", ErrHostile, d.seq, d.slot)
	}
	c.released++
	c.freeLocked(d.slot)
	return nil
}

func newLink(ch channel) *link {
	return &link{channel: ch, lost: make(chan struct{}), done: make(chan struct{})}
}

// deadLink stands where there is no channel.
func deadLink(why error) *link {
	l := newLink(nil)
	l.lose(why)
	close(l.done)
	return l
}

func (l *link) close() {
	if l.channel != nil {
		l.channel.close()
	}
}

func (l *link) lose(err error) {
	l.err = err
	close(l.lost)
}

func (l *link) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

// asLost makes every end of a link ErrLost, with the reason if there is one.
func asLost(err error) error {
	if errors.Is(err, ErrLost) {
		return err
	}
	if errors.Is(err, ErrClosed) {
		return ErrLost
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}
