//go:build darwin || standin

package xpcpeer

import (
	"portward/internal/macos"
	"portward/internal/wire"
)

// try leaves it to send, which may have to wait for a barrier.
func (l *xpcLink) try(parcel) (bool, error) { return false, nil }

// send hands a packet to libxpc, which never waits; that is why we do, for the
// barriers behind packets. A barrier of a connection that ended runs at once.
func (l *xpcLink) send(p parcel) error {
	x := p.(*xpcParcel)
	defer x.drop()
	written, err := l.post(x)
	if written != nil {
		<-written
	}
	return err
}

// post answers what to wait for, if anything.
func (l *xpcLink) post(x *xpcParcel) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		return nil, l.end
	}
	switch x.kind {
	case kindMessage:
		macos.XPCConnectionSendMessage(l.conn, x.dict)
	case kindCall:
		l.askLocked(x.dict, func(reply macos.Ref) { l.replied(x.id, reply) })
	default:
		l.answerLocked(x)
	}
	l.sent++
	if !x.handles && l.sent < xpcPerBarrier {
		return nil, nil
	}
	l.sent = 0
	written := make(chan struct{})
	macos.XPCConnectionSendBarrier(l.conn, func() { close(written) })
	return written, nil
}

// answerLocked fills the reply that libxpc made of the request. The hello's is
// the welcome, from which on the peer may send.
func (l *xpcLink) answerLocked(x *xpcParcel) {
	reply := l.answers[x.id]
	if reply == 0 {
		return
	}
	delete(l.answers, x.id)
	macos.XPCDictionaryApply(x.dict, wire.MaxKey, func(key string, v macos.Ref) bool {
		macos.XPCDictionarySetValue(reply, key, v)
		return true
	})
	l.up = l.up || x.kind == kindWelcome
	macos.XPCConnectionSendMessage(l.conn, reply)
	macos.XPCRelease(reply)
}
