//go:build darwin || standin

package xpcpeer

import (
	"sync"
	"time"

	"portward/internal/macos"
)

// What an XPC link does without being asked.
const (
	// A connection whose reader is this far behind is suspended, so that what
	// comes next waits at the sender, and is resumed when few are left.
	xpcHighWater, xpcLowWater = 16, 4

	// One send in so many waits for a barrier, and each that carries handles: so
	// many are inside libxpc at most, and a peer that does not read is noticed.
	xpcPerBarrier = 16

	// How long Close lets libxpc write what it has.
	xpcGrace = time.Second

	// How long after a call's reply was lost the connection may take to say that
	// it is interrupted. If it does not, the peer dropped the call.
	xpcUnanswered = time.Second
)

// An xpcLink is one life of a connection: one xpc_connection_t that is never used
// again after it was interrupted, though libxpc would let us. A message for a
// peer that has just died would else be the first that its successor gets.
//
//	client                                     server
//	{"portward.hello": uint64 protocol}   ->   the first message of a peer, wants a reply
//	                                      <-   its reply: {"portward.welcome": uint64 protocol}
//	                                           or {"portward.failure": string}, and the end
//
// After that both send the dictionaries of messages as they are. A call is a
// message that wants a reply, and its reply is the dictionary, or
// {"portward.failure": string}.
//
// Handlers run on libxpc's threads: they take mu for a moment, retain, queue, and
// return. Nothing that waits is called with mu held. The link is over when the
// last event, XPC_ERROR_CONNECTION_INVALID, has come and every reply's block has
// run; libxpc promises both.
type xpcLink struct {
	name string               // of the service, if it was dialled by name
	meet func(*xpcLink, bool) // told once whether a peer said hello; nil at clients

	mu          sync.Mutex
	change      *sync.Cond
	conn, queue macos.Ref // ours until the link is over, then 0
	who         *Evidence
	first       *packet // the answer to our hello
	up          bool    // welcomed, by the peer or by us
	in          []xpcIncoming
	suspended   bool
	deaf        bool // what comes is dropped
	shut        bool // close was called
	hurried     bool
	cutter      *time.Timer          // that does not let Close wait for ever
	end         error                // how the link ends, once that is known
	final       bool                 // the last event came
	pending     int                  // replies whose block has not run
	sent        int                  // since the last barrier
	answers     map[uint64]macos.Ref // replies to be filled, by call; 0: to the hello
	lastID      uint64
}

// An xpcIncoming waits for receive.
type xpcIncoming struct {
	what macos.Ref // retained; 0: a call that was not answered
	call uint64    // whose reply it is; 0: it is a message
}

// newXPCLink takes over an inactive connection and its queue.
func newXPCLink(conn, queue macos.Ref, name string) *xpcLink {
	l := &xpcLink{name: name, conn: conn, queue: queue, answers: make(map[uint64]macos.Ref)}
	l.change = sync.NewCond(&l.mu)
	return l
}

// open pins the peer, then sets the handler, then activates. libxpc ends the
// process that releases an inactive connection, so one that cannot be pinned is
// activated too: deaf, and cancelled.
func (l *xpcLink) open(requirement string) error {
	conn := l.conn
	err := setRequirement(conn, requirement)
	l.mu.Lock()
	l.deaf = err != nil
	l.mu.Unlock()
	macos.XPCConnectionSetEventHandler(conn, l.event)
	macos.XPCConnectionActivate(conn)
	if err != nil {
		l.close()
	}
	return err
}

func (l *xpcLink) evidence() *Evidence {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.who
}

// seeLocked is whom libxpc saw last. The proof is not this but the requirement,
// which libxpc checks of the sender of every message.
func (l *xpcLink) seeLocked() {
	l.who = &Evidence{
		PID: macos.XPCConnectionGetPID(l.conn),
		UID: macos.XPCConnectionGetEUID(l.conn),
		GID: macos.XPCConnectionGetEGID(l.conn),
	}
}

// receive waits for what the handlers queued.
func (l *xpcLink) receive() (packet, error) {
	next, p, err := l.next()
	switch {
	case err != nil:
		return packet{}, err
	case p != nil:
		return *p, nil
	case next.what == 0:
		return packet{kind: kindFailure, id: next.call, code: codeUnanswered}, nil
	}
	defer macos.XPCRelease(next.what)
	if next.call != 0 {
		return unpackReply(next.what, next.call)
	}
	return l.message(next.what)
}

func (l *xpcLink) next() (xpcIncoming, *packet, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.first != nil:
			p := l.first
			l.first = nil
			return xpcIncoming{}, p, nil
		case l.up && len(l.in) > 0:
			return l.popLocked(), nil, nil
		case l.final && l.pending == 0:
			return xpcIncoming{}, nil, l.end
		}
		l.change.Wait()
	}
}

func (l *xpcLink) popLocked() xpcIncoming {
	i := l.in[0]
	l.in[0] = xpcIncoming{}
	l.in = l.in[1:]
	if len(l.in) <= xpcLowWater {
		l.resumeLocked()
	}
	return i
}

// message reads a message or, if it wants a reply, a call.
func (l *xpcLink) message(m macos.Ref) (packet, error) {
	d, err := unpackXPC(m)
	if err != nil {
		return packet{}, err
	}
	reply := macos.XPCDictionaryCreateReply(m)
	if reply == 0 {
		return packet{kind: kindMessage, dict: d}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID++
	if l.end != nil {
		macos.XPCRelease(reply)
	} else {
		l.answers[l.lastID] = reply
	}
	return packet{kind: kindCall, id: l.lastID, dict: d}, nil
}

func (l *xpcLink) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hurried = true
	l.deafenLocked()
	if l.cutter == nil {
		l.cutter = time.AfterFunc(xpcGrace, l.cut)
	}
}

// cut ends a link that takes too long to end.
func (l *xpcLink) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancelLocked()
}

// close cancels, which discards what libxpc has not sent. In a hurry that is
// done behind what was sent, or when the grace is over.
func (l *xpcLink) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return
	}
	l.shut = true
	l.deafenLocked()
	if !l.hurried || l.end != nil || l.conn == 0 {
		l.endLocked(errPeerGone)
		return
	}
	l.end = errPeerGone
	l.dropAnswersLocked()
	conn := macos.XPCRetain(l.conn)
	macos.XPCConnectionSendBarrier(conn, func() {
		macos.XPCConnectionCancel(conn)
		macos.XPCRelease(conn)
	})
}

// endLocked is the one door to the link's end: the first reason stays. What came
// before it can still be received.
func (l *xpcLink) endLocked(why error) {
	if l.end == nil {
		l.end = why
	}
	l.dropAnswersLocked()
	l.cancelLocked()
}

// breakLocked ends a link of whose peer nothing more is believed.
func (l *xpcLink) breakLocked(why error) {
	l.deafenLocked()
	l.endLocked(why)
}

// cancelLocked may be called again.
func (l *xpcLink) cancelLocked() {
	if l.conn != 0 {
		l.resumeLocked()
		macos.XPCConnectionCancel(l.conn)
	}
}

// deafenLocked drops what came and what comes.
func (l *xpcLink) deafenLocked() {
	l.deaf = true
	for _, i := range l.in {
		macos.XPCRelease(i.what)
	}
	l.in = nil
	l.resumeLocked()
}

func (l *xpcLink) resumeLocked() {
	if l.suspended {
		l.suspended = false
		macos.XPCConnectionResume(l.conn)
	}
}

// dropAnswersLocked leaves calls unanswered: their callers hear of the end.
func (l *xpcLink) dropAnswersLocked() {
	for id, reply := range l.answers {
		delete(l.answers, id)
		macos.XPCRelease(reply)
	}
}

// releaseLocked lets go of the connection when it is over.
func (l *xpcLink) releaseLocked() {
	if !l.final || l.pending > 0 || l.conn == 0 {
		return
	}
	l.resumeLocked()
	macos.XPCRelease(l.conn)
	macos.DispatchRelease(l.queue)
	l.conn, l.queue = 0, 0
	if l.cutter != nil {
		l.cutter.Stop()
	}
}

// why is how the link ended.
func (l *xpcLink) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}
