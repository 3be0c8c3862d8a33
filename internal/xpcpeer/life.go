package xpcpeer

import (
	"errors"
	"runtime"
	"sync"
)

// inboxSize is how many messages may wait for the handler while replies behind
// them are still found. A hostile peer can make us hold as many times
// wire.MaxHandles descriptors.
const inboxSize = 8

// run owns the connection: link after link, events one at a time, Invalid last.
func (c *Conn) run(first link) {
	defer close(c.done)
	defer c.release()
	for l := first; ; l = nil {
		if l == nil && !c.nextLink(&l) {
			break
		}
		c.live(l)
		if c.reason() != nil {
			break
		}
		if c.cfg.Interrupted != nil {
			c.cfg.Interrupted(c)
		}
	}
	err := c.bury()
	if c.cfg.Invalid != nil {
		c.cfg.Invalid(c, err)
	}
}

// nextLink waits until one is wanted and connects; false: the connection ended.
func (c *Conn) nextLink(l *link) bool {
	c.mu.Lock()
	for !c.wanted && c.end == nil {
		c.change.Wait()
	}
	ended := c.end != nil
	c.mu.Unlock()
	if ended {
		return false
	}
	next, err := c.dial(c.alive)
	if err != nil {
		c.finish(err)
		return false
	}
	*l = next
	return true
}

// live is one link's life, from the handshake until nothing of it is left.
func (c *Conn) live(l link) {
	defer l.close()
	if !c.present(l) {
		return
	}
	if err := c.greet(c, l); err != nil {
		c.lower(err)
		return
	}
	if !c.raise() {
		return
	}
	var hands sync.WaitGroup
	hands.Go(func() { c.write(l) })
	c.attend(l)
	hands.Wait()
}

// attend takes the link's packets in until it breaks, and gives the messages among
// them to the owner. One goroutine does both, so that none has to wake for another:
// while a handler runs nobody reads, unless readAsideLocked saw to it.
func (c *Conn) attend(l link) {
	for {
		m, err := c.message(l)
		if err != nil {
			c.lower(err)
			return
		}
		c.occupy()
		c.handle(m)
		if inbox := c.unoccupy(); inbox != nil {
			for m := range inbox {
				c.handle(m)
			}
			return
		}
	}
}

// occupy says that a handler runs. Calls in flight may be answered meanwhile.
func (c *Conn) occupy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.occupied = true
	c.readAsideLocked()
}

// unoccupy answers where the messages are, if another goroutine reads by now.
func (c *Conn) unoccupy() <-chan *Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.occupied = false
	return c.inbox
}

// readAsideLocked has another goroutine read for the rest of the link's life when a
// call waits for its reply while a handler runs, perhaps that handler's own.
func (c *Conn) readAsideLocked() {
	if !c.occupied || c.inbox != nil || len(c.calls) == 0 || c.end != nil {
		return
	}
	c.inbox = make(chan *Message, inboxSize)
	go c.readAside(c.link, c.inbox)
}

func (c *Conn) readAside(l link, inbox chan<- *Message) {
	defer close(inbox)
	for {
		m, err := c.message(l)
		if err != nil {
			c.lower(err)
			return
		}
		select {
		case inbox <- m:
		case <-c.alive.Done():
			m.dict.Close()
		}
	}
}

// message waits for one, and gives the replies that come before it to their callers.
// These go on at once, on the thread that received: for another one to wake takes
// longer than all else.
func (c *Conn) message(l link) (*Message, error) {
	for {
		p, err := c.receive(l)
		switch {
		case err != nil:
			return nil, err
		case c.settles(p):
			runtime.Gosched()
		case p.kind == kindMessage, p.kind == kindCall:
			return &Message{conn: c, link: l, id: p.id, dict: p.dict}, nil
		default:
			p.dict.Close()
			return nil, unexpected(p)
		}
	}
}

// settles reports whether the packet is a reply, and gives it to its caller.
func (c *Conn) settles(p packet) bool {
	switch p.kind {
	case kindReply:
		c.settle(p.id, result{dict: p.dict})
	case kindFailure:
		c.settle(p.id, result{err: ErrUnanswered})
	default:
		return false
	}
	return true
}

// handle gives one message to the owner: also after the peer's end, if it was
// sent before, but not after our own.
func (c *Conn) handle(m *Message) {
	if c.alive.Err() == nil && c.cfg.Message != nil {
		c.cfg.Message(c, m)
	}
	m.finish()
}

// write sends what is queued until the link is replaced or the connection ends.
func (c *Conn) write(l link) {
	for {
		p, broken, ok := c.next(l)
		if !ok {
			break
		}
		if broken {
			p.drop()
			continue
		}
		c.wrote(l, l.send(p))
	}
	if c.reason() != nil {
		l.close()
	}
}

// present makes l the link that Close closes.
func (c *Conn) present(l link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return false
	}
	c.link, c.broken, c.inbox = l, false, nil
	c.brief = false
	return true
}

// raise opens the link for the owner's messages.
func (c *Conn) raise() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return false
	}
	c.up = true
	c.answerWaitingLocked(nil)
	return true
}

// lower takes the broken link away: an interruption, or the end.
func (c *Conn) lower(cause error) {
	if !c.redials || !errors.Is(cause, errPeerGone) {
		c.finish(cause)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return
	}
	c.link, c.up, c.wanted = nil, false, false
	c.failCallsLocked(ErrInterrupted)
	c.dropQueueLocked()
	c.change.Broadcast()
}

// finish ends the connection for a reason that is not its owner's.
func (c *Conn) finish(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(invalid(cause), false)
}

// quitLocked ends the connection from our side: no more messages are delivered.
func (c *Conn) quitLocked(err error, orderly bool) {
	c.kill()
	c.endLocked(err, orderly)
}

// endLocked is the one door to invalidity. orderly: what is queued may still be
// written if that takes no waiting.
func (c *Conn) endLocked(err error, orderly bool) {
	if c.end != nil {
		return
	}
	c.end = invalid(err)
	c.failCallsLocked(c.end)
	switch {
	case orderly && c.up:
		c.link.hurry()
	case c.link != nil:
		c.link.close()
		fallthrough
	default:
		c.dropQueueLocked()
	}
	c.change.Broadcast()
}

func (c *Conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// bury drops what is left and answers why.
func (c *Conn) bury() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kill()
	c.dropQueueLocked()
	c.link, c.up = nil, false
	return c.end
}
