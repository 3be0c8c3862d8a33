package xpcpeer

import (
	"context"
	"errors"

	"portward/internal/wire"
)

// outgoing is a packet that waits to be written.
type outgoing struct {
	parcel parcel
	call   uint64 // whose request it is; 0: nobody's
}

// A call is a place among those in flight.
type call struct {
	result chan result // of one
	lender lender      // what its caller may receive from; nil: nothing
	left   bool        // its caller is gone
}

type result struct {
	dict wire.Dict
	err  error
}

// Call sends a message and waits for its reply, which belongs to the caller
// with its handles. ctx must have a deadline. See the package comment for what
// its end means to the place the call occupies.
func (c *Conn) Call(ctx context.Context, d wire.Dict) (wire.Dict, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, c.fail("call", ErrNoDeadline)
	}
	id, ca, err := c.begin(d)
	if err != nil {
		return nil, c.fail("call", err)
	}
	if ca.lender != nil {
		c.fetch(ctx, ca.lender, ca)
	}
	select {
	case r := <-ca.result:
		return r.dict, c.fail("call", r.err)
	case <-ctx.Done():
	}
	if r, ok := c.leave(id, ca); ok {
		return r.dict, c.fail("call", r.err)
	}
	return nil, c.fail("call", ctx.Err())
}

// begin takes a place and queues the request.
func (c *Conn) begin(d wire.Dict) (uint64, *call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return 0, nil, c.end
	}
	if len(c.calls) >= c.cfg.MaxOutstanding {
		return 0, nil, ErrBusy
	}
	id := c.lastID + 1
	p, err := c.transport.pack(packet{kind: kindCall, id: id, dict: d})
	if err != nil {
		return 0, nil, err
	}
	ca := &call{result: make(chan result, 1), lender: c.borrowLocked()}
	if err := c.enqueueLocked(outgoing{p, id}); err != nil {
		if ca.lender != nil {
			c.giveBackLocked(ca.lender, nil)
		}
		return 0, nil, err
	}
	c.lastID = id
	c.calls[id] = ca
	c.readAsideLocked()
	return id, ca, nil
}

// leave ends a caller's wait. A request that was not written is withdrawn; a
// result that came in the same moment is answered.
func (c *Conn) leave(id uint64, ca *call) (result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case r := <-ca.result:
		return r, true
	default:
	}
	ca.left = true
	for i, o := range c.queue {
		if o.call == id {
			o.parcel.drop()
			c.queue = append(c.queue[:i:i], c.queue[i+1:]...)
			delete(c.calls, id)
			break
		}
	}
	return result{}, false
}

// settle gives a reply to its caller; nobody's reply is dropped.
func (c *Conn) settle(id uint64, r result) {
	c.mu.Lock()
	ca := c.calls[id]
	delete(c.calls, id)
	heard := ca != nil && !ca.left
	if heard {
		ca.result <- r
	}
	c.mu.Unlock()
	if !heard {
		r.dict.Close()
	}
}

// failCallsLocked ends every wait for the present link.
func (c *Conn) failCallsLocked(err error) {
	for id, ca := range c.calls {
		delete(c.calls, id)
		if !ca.left {
			ca.result <- result{err: err}
		}
	}
	c.answerWaitingLocked(err)
}

func (c *Conn) answerWaitingLocked(err error) {
	for _, w := range c.waiting {
		w <- err
	}
	c.waiting = nil
}

// enqueueLocked takes over the parcel, also when it fails. What can be written at
// once is not queued.
func (c *Conn) enqueueLocked(o outgoing) error {
	switch {
	case c.end != nil:
		o.parcel.drop()
		return c.end
	case c.writtenLocked(o.parcel):
		return nil
	case len(c.queue) >= c.cfg.MaxQueue:
		o.parcel.drop()
		c.quitLocked(ErrFlooded, false)
		return c.end
	}
	c.queue = append(c.queue, o)
	c.wanted = true
	c.change.Broadcast()
	return nil
}

// writtenLocked writes the parcel if nothing is before it and it takes no waiting.
func (c *Conn) writtenLocked(p parcel) bool {
	if !c.up || c.writing || len(c.queue) > 0 {
		return false
	}
	if c.broken {
		p.drop()
		return true
	}
	written, err := c.link.try(p)
	c.wroteLocked(c.link, err)
	return written
}

func (c *Conn) wrote(l link, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wroteLocked(l, err)
}

// wroteLocked notes a write that failed. From then on what is to be written to the
// link is dropped: what the peer wrote before it died is still to be read, and the
// reader will find its end.
func (c *Conn) wroteLocked(l link, err error) {
	if err == nil {
		return
	}
	if c.link == l {
		c.broken = true
	}
	if !errors.Is(err, errPeerGone) {
		l.close()
	}
}

func (c *Conn) dropQueueLocked() {
	for _, o := range c.queue {
		o.parcel.drop()
	}
	c.queue = nil
}

// next waits for a packet to write to l; false when there will be none.
func (c *Conn) next(l link) (p parcel, broken, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
	for len(c.queue) == 0 && c.end == nil && c.link == l {
		c.change.Wait()
	}
	if len(c.queue) == 0 || c.link != l {
		return nil, false, false
	}
	o := c.queue[0]
	c.queue[0] = outgoing{}
	c.queue = c.queue[1:]
	c.writing = true
	return o.parcel, c.broken, true
}
