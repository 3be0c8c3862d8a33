package xpcpeer

import (
	"errors"
	"sync"

	"portward/internal/wire"
)

// A Message is what arrived from a peer. It is valid while Events.Message
// runs, and after it only if it was kept.
type Message struct {
	conn *Conn
	link link   // the one it came by: a reply must not reach a successor
	id   uint64 // 0: no reply is wanted
	dict wire.Dict

	mu       sync.Mutex
	kept     bool
	answered bool
}

var errNoReply = errors.New("no reply is expected, or it was given")

// Dict answers the dictionary. Handles in it that are not taken out are closed
// after Events.Message returns, unless the message is kept.
func (m *Message) Dict() wire.Dict { return m.dict }

// WantsReply reports whether the peer waits for a Reply.
func (m *Message) WantsReply() bool { return m.id != 0 }

// Keep makes the message outlive Events.Message: whoever kept it closes the
// handles left in Dict, and gives the Reply the peer may wait for.
func (m *Message) Keep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = true
}

// Reply answers a call, once. The dictionary stays the caller's. A peer that
// died meanwhile is ErrInterrupted or ErrInvalid.
func (m *Message) Reply(d wire.Dict) error {
	return m.conn.fail("reply", m.answer(packet{kind: kindReply, id: m.id, dict: d}))
}

func (m *Message) answer(p packet) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id == 0 || m.answered {
		return errNoReply
	}
	packed, err := m.conn.transport.pack(p)
	if err != nil {
		return err
	}
	m.answered = true
	return m.conn.enqueueFor(m.link, packed)
}

// finish is what happens to a message its owner returned.
func (m *Message) finish() {
	m.mu.Lock()
	kept, open := m.kept, m.id != 0 && !m.answered
	m.mu.Unlock()
	if kept {
		return
	}
	m.dict.Close()
	if open {
		m.answer(packet{kind: kindFailure, id: m.id, code: codeUnanswered})
	}
}

// enqueueFor queues p if l is still the present link.
func (c *Conn) enqueueFor(l link, p parcel) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil && c.link != l {
		p.drop()
		return ErrInterrupted
	}
	return c.enqueueLocked(outgoing{parcel: p})
}
