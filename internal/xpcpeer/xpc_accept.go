//go:build darwin || standin

package xpcpeer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"portward/internal/macos"
	"portward/internal/wire"
)

// Peers of an XPC listener that have not said hello.
const (
	maxStrangers = 128
	helloWithin  = 10 * time.Second
)

var errNotOurs = errors.New("launchd does not give this process the name")

// An xpcAcceptor is a listener. It accepts the peers that have said hello.
type xpcAcceptor struct {
	name, requirement string // name: empty for anonymous ones
	turnedAway        lines

	mu          sync.Mutex
	change      *sync.Cond
	conn, queue macos.Ref // 0 once it is over
	closed      bool
	strangers   map[*xpcLink]*time.Timer
	ready       []*xpcLink
}

func newXPCAcceptor(t xpcTransport, name, requirement string) (*xpcAcceptor, error) {
	a := &xpcAcceptor{name: name, requirement: requirement, strangers: make(map[*xpcLink]*time.Timer)}
	a.turnedAway = lines{name: a.String(), log: t.o.Log}
	a.change = sync.NewCond(&a.mu)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a, a.startLocked()
}

// startLocked makes the listener. That the name is not ours is an event.
func (a *xpcAcceptor) startLocked() error {
	queue := macos.DispatchQueueCreate("portward.listen")
	var conn macos.Ref
	if a.name == "" {
		conn = macos.XPCConnectionCreate(queue)
	} else {
		conn = macos.XPCConnectionCreateMachService(a.name, queue, macos.XPCListener)
	}
	err := setRequirement(conn, a.requirement)
	if err != nil { // libxpc ends the process that releases an inactive one
		macos.XPCConnectionCancel(conn)
	}
	a.conn, a.queue = conn, queue
	macos.XPCConnectionSetEventHandler(conn, func(e macos.Ref) { a.event(conn, e) })
	macos.XPCConnectionActivate(conn)
	return err
}

func (a *xpcAcceptor) event(conn, e macos.Ref) {
	switch {
	case macos.XPCTypeOf(e) == macos.XPCTypeConnection:
		a.meet(e)
	case macos.XPCErrorOf(e) == macos.XPCInvalid:
		a.over()
	}
}

// over is after the last event.
func (a *xpcAcceptor) over() {
	a.mu.Lock()
	defer a.mu.Unlock()
	macos.XPCRelease(a.conn)
	macos.DispatchRelease(a.queue)
	a.conn, a.queue = 0, 0
	a.change.Broadcast()
}

// meet opens a peer, which is a stranger until it has said hello.
func (a *xpcAcceptor) meet(peer macos.Ref) {
	a.mu.Lock()
	full := a.closed || len(a.strangers) >= maxStrangers
	if full {
		a.mu.Unlock()
		a.turnedAway.printf("peer of %s turned away: too many say no hello", a)
		macos.XPCConnectionCancel(peer)
		return
	}
	queue := macos.DispatchQueueCreate("portward.peer")
	macos.XPCConnectionSetTargetQueue(peer, queue)
	l := newXPCLink(macos.XPCRetain(peer), queue, "")
	l.meet = a.met
	a.strangers[l] = time.AfterFunc(helloWithin, l.close)
	a.mu.Unlock()
	if err := l.open(a.requirement); err != nil {
		a.turnedAway.printf("peer of %s: %v", a, err)
	}
}

// met is the end of a stranger: it said hello, or it is over.
func (a *xpcAcceptor) met(l *xpcLink, hello bool) {
	a.mu.Lock()
	a.strangers[l].Stop()
	delete(a.strangers, l)
	wanted := hello && !a.closed
	if wanted {
		a.ready = append(a.ready, l)
		a.change.Broadcast()
	}
	a.mu.Unlock()
	if !hello {
		a.turnedAway.printf("peer of %s: %v", a, l.why())
	}
	if !wanted {
		l.close()
	}
}

// accept makes the listener anew if it broke, once for each time it is called:
// a name that is not ours yet may become so.
func (a *xpcAcceptor) accept() (link, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.ready) == 0 && !a.closed && a.conn != 0 {
		a.change.Wait()
	}
	switch {
	case a.closed:
		return nil, io.EOF
	case len(a.ready) > 0:
		l := a.ready[0]
		a.ready = a.ready[1:]
		return l, nil
	}
	return nil, errors.Join(errNotOurs, a.startLocked())
}

func (a *xpcAcceptor) endpoint() (wire.Handle, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.name != "" {
		return wire.Handle{}, errNamed
	}
	if a.conn == 0 || a.closed {
		return wire.Handle{}, os.ErrClosed
	}
	return wire.Handle{Kind: wire.HandleEndpoint, Object: macos.NewObject(macos.XPCEndpointCreate(a.conn))}, nil
}

// close leaves alone whom accept answered.
func (a *xpcAcceptor) close() error {
	a.mu.Lock()
	a.closed = true
	if a.conn != 0 {
		macos.XPCConnectionCancel(a.conn)
	}
	left := a.ready
	a.ready = nil
	for l := range a.strangers {
		left = append(left, l)
	}
	a.change.Broadcast()
	a.mu.Unlock()
	for _, l := range left {
		l.close()
	}
	return nil
}

func (a *xpcAcceptor) String() string {
	if a.name == "" {
		return "an anonymous listener"
	}
	return fmt.Sprintf("service %s", a.name)
}
