package xpcpeer

import (
	"context"
	"time"
)

// Who calls receives for himself where he can: the reply finds his own thread in the
// kernel, and nobody has to wake for it. The reader, who waits for anything else that
// may come, lends him the link and sleeps on.
//
//	reader            await ............................. await, handle
//	caller              lend, write, receive own, giveBack

// found is what a caller received and is not his.
type found struct {
	packet packet
	err    error
}

// receive is the reader's.
func (c *Conn) receive(l link) (packet, error) {
	b, ok := l.(lender)
	if !ok {
		return l.receive()
	}
	for {
		if !c.brief {
			if f := c.await(b); f != nil {
				return f.packet, f.err
			}
		}
		p, err := b.receiveSoon()
		if err == errNothing {
			c.brief = false
			continue
		}
		now := time.Now()
		c.brief, c.last = now.Sub(c.last) < soon, now
		return p, err
	}
}

// await waits until the reader's turn has come, and answers what was found meanwhile.
func (c *Conn) await(b lender) *found {
	c.mu.Lock()
	c.lendable = true
	c.mu.Unlock()
	b.await()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lendable = false
	for c.lent {
		c.change.Wait()
	}
	f := c.found
	c.found = nil
	return f
}

// borrowLocked answers the link if nobody is about to receive from it.
func (c *Conn) borrowLocked() lender {
	if !c.up || !c.lendable || c.lent || c.found != nil {
		return nil
	}
	b := c.link.(lender)
	b.lend()
	c.lent = true
	return b
}

func (c *Conn) giveBackLocked(b lender, f *found) {
	c.lent, c.found = false, f
	b.giveBack(f != nil)
	if !c.lendable { // the reader is there, and wants it
		c.change.Broadcast()
	}
}

// fetch receives until the call has its result, or takes long.
func (c *Conn) fetch(ctx context.Context, b lender, ca *call) {
	var f *found
	for ctx.Err() == nil && len(ca.result) == 0 {
		p, err := b.receiveSoon()
		if err == errNothing {
			break
		}
		if err != nil || !c.settles(p) {
			f = &found{p, err}
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.giveBackLocked(b, f)
}
