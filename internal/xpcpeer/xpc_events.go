//go:build darwin || standin

package xpcpeer

import (
	"fmt"
	"io/fs"
	"time"

	"portward/internal/macos"
)

// event is the connection's handler. It runs on a thread of libxpc's.
func (l *xpcLink) event(e macos.Ref) {
	l.mu.Lock()
	switch macos.XPCTypeOf(e) {
	case macos.XPCTypeDictionary:
		l.arriveLocked(e)
	case macos.XPCTypeError:
		l.errorLocked(e)
	default:
		l.breakLocked(malformed("a message that is no dictionary"))
	}
	met := l.answers[0] != 0
	tell := l.meet
	if met || l.final {
		l.meet = nil
	} else {
		tell = nil
	}
	l.change.Broadcast()
	l.releaseLocked()
	l.mu.Unlock()
	if tell != nil {
		tell(l, met)
	}
}

// arriveLocked queues a message. A server takes a hello first and then nothing
// before its welcome; a client's welcome may be overtaken by what follows it.
func (l *xpcLink) arriveLocked(m macos.Ref) {
	switch {
	case l.deaf || l.end != nil:
	case !l.up && l.meet != nil:
		l.helloLocked(m)
	case !l.up && (l.answers[0] != 0 || len(l.in) >= xpcHighWater):
		l.breakLocked(malformed("a message before the welcome"))
	default:
		l.pushLocked(xpcIncoming{what: macos.XPCRetain(m)})
	}
}

// pushLocked takes the reference over.
func (l *xpcLink) pushLocked(i xpcIncoming) {
	if l.deaf {
		macos.XPCRelease(i.what)
		return
	}
	l.in = append(l.in, i)
	if len(l.in) >= xpcHighWater && l.up && !l.suspended && l.end == nil {
		l.suspended = true
		macos.XPCConnectionSuspend(l.conn)
	}
	l.change.Broadcast()
}

// errorLocked is libxpc's word about the connection, or about its peer.
func (l *xpcLink) errorLocked(e macos.Ref) {
	switch macos.XPCErrorOf(e) {
	case macos.XPCInterrupted:
		l.endLocked(errPeerGone)
	case macos.XPCInvalid:
		l.endLocked(l.invalidity())
		l.final = true
	case macos.XPCPeerRequirement:
		l.breakLocked(errImpostor)
	case macos.XPCTerminationImminent: // launchd sends a signal too
	default:
		l.breakLocked(fmt.Errorf("libxpc says %s", macos.XPCDescription(e)))
	}
}

// invalidity is what INVALID means: to who dialled a name and was never answered
// that there is no such name, or not for us.
func (l *xpcLink) invalidity() error {
	if l.name != "" && !l.up {
		return fmt.Errorf("service %s: %w", l.name, fs.ErrNotExist)
	}
	return errPeerGone
}

// sendHello is a client's first message.
func (l *xpcLink) sendHello() {
	hello := single(keyHello, macos.XPCUint64Create(protocol))
	defer macos.XPCRelease(hello)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != 0 {
		l.askLocked(hello, l.welcomed)
	}
}

// askLocked sends a message whose reply is given to take, with mu held, once.
func (l *xpcLink) askLocked(m macos.Ref, take func(reply macos.Ref)) {
	l.pending++
	macos.XPCConnectionSendMessageWithReply(l.conn, m, l.queue, func(reply macos.Ref) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pending--
		take(reply)
		l.change.Broadcast()
		l.releaseLocked()
	})
}

// welcomed takes the answer to our hello.
func (l *xpcLink) welcomed(reply macos.Ref) {
	if macos.XPCTypeOf(reply) != macos.XPCTypeDictionary {
		l.replyErrorLocked(reply)
		return
	}
	p, err := unpackWelcome(reply)
	if err != nil {
		l.breakLocked(err)
		return
	}
	l.seeLocked()
	l.first, l.up = &p, p.kind == kindWelcome
}

// replyErrorLocked is an error in place of the answer to our hello.
func (l *xpcLink) replyErrorLocked(e macos.Ref) {
	if macos.XPCErrorOf(e) == macos.XPCInvalid { // its event follows
		if l.end == nil {
			l.end = l.invalidity()
		}
		return
	}
	l.errorLocked(e)
}

// replied takes the reply to a call.
func (l *xpcLink) replied(id uint64, reply macos.Ref) {
	switch macos.XPCErrorOf(reply) {
	case macos.XPCNotError:
		l.pushLocked(xpcIncoming{what: macos.XPCRetain(reply), call: id})
	case macos.XPCPeerRequirement:
		l.breakLocked(errImpostor)
	default: // the end of the link, whose event settles this; or of the call alone
		if l.end == nil {
			time.AfterFunc(xpcUnanswered, func() { l.unanswered(id) })
		}
	}
}

func (l *xpcLink) unanswered(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end == nil {
		l.pushLocked(xpcIncoming{call: id})
	}
}

// helloLocked takes a server's first message.
func (l *xpcLink) helloLocked(m macos.Ref) {
	if err := checkHello(m); err != nil {
		l.breakLocked(err)
		return
	}
	reply := macos.XPCDictionaryCreateReply(m)
	if reply == 0 {
		l.breakLocked(malformed("a hello that wants no answer"))
		return
	}
	l.answers[0] = reply
	l.seeLocked()
}
