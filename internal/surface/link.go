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
// waits until nobody reads that one any more. p.connecting is held.
func (p *producer) replace(l *link) {
	p.mu.Lock()
	old := p.link
	p.link = l
	p.freeOutLocked()
	p.mu.Unlock()
	old.close()
	<-old.done
}

// read takes releases until the link is lost. It belongs to Connect; replace
// waits for it.
func (p *producer) read(l *link) {
	defer close(l.done)
	for {
		d, err := l.channel.recvRelease()
		if err == nil {
			err = p.release(l, d)
		}
		if err != nil {
			l.close()
			p.lose(l, err)
			return
		}
		if p.OnRelease != nil {
			p.OnRelease(d.seq)
		}
	}
}

// release frees a slot, if that frame is out on this link.
func (p *producer) release(l *link, d descriptor) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l != p.link {
		return ErrLost
	}
	if d.slot >= len(p.slots) || p.slots[d.slot].state != slotOut || p.slots[d.slot].seq != d.seq {
		return fmt.Errorf("%w: release of frame %d in slot %d, which is not out", ErrHostile, d.seq, d.slot)
	}
	p.released++
	p.freeLocked(d.slot)
	return nil
}

func (p *producer) lose(l *link, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l == p.link {
		p.keeper.lostLocked()
	}
	l.lose(asLost(why))
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
