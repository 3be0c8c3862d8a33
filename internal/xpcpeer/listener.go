package xpcpeer

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"portward/internal/wire"
)

// A Listener makes connections of the peers that reach it.
type Listener struct {
	name      string
	transport Transport
	acceptor  acceptor
	cfg       Config
	closing   chan struct{}
	done      chan struct{}
	once      sync.Once

	mu    sync.Mutex
	peers int
	byUID map[uint32]int
}

// Listen serves the named service: cfg.Policy, then cfg.Accept for every peer.
func Listen(t Transport, name string, cfg Config) (*Listener, error) {
	a, err := t.listen(name)
	if err != nil {
		return nil, &Error{"listen", name, err}
	}
	return newListener(t, name, a, cfg), nil
}

// Anonymous serves whoever gets its Endpoint, from whomever.
func Anonymous(t Transport, cfg Config) (*Listener, error) {
	a, err := t.anonymous()
	if err != nil {
		return nil, &Error{"listen", "anonymously", err}
	}
	return newListener(t, "anonymous", a, cfg), nil
}

func newListener(t Transport, name string, a acceptor, cfg Config) *Listener {
	l := &Listener{name: name, transport: t, acceptor: a, cfg: cfg.withDefaults()}
	l.closing, l.done = make(chan struct{}), make(chan struct{})
	l.byUID = make(map[uint32]int)
	go l.run()
	return l
}

// Endpoint answers a handle of an anonymous listener, to be put in a message
// and closed by the caller. Whoever receives it can connect to this listener,
// as long as it lives, and pass the endpoint on; the kernel names the process
// that really connects.
func (l *Listener) Endpoint() (wire.Handle, error) {
	h, err := l.acceptor.endpoint()
	if err != nil {
		return wire.Handle{}, &Error{"endpoint of", l.name, err}
	}
	return h, nil
}

// Close stops listening. Connections that were accepted live on, as in XPC.
func (l *Listener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closing)
		err = l.acceptor.close()
	})
	<-l.done
	return err
}

// run accepts until Close. It never waits for a peer or for the owner.
func (l *Listener) run() {
	defer close(l.done)
	pause := time.Millisecond
	for {
		link, err := l.acceptor.accept()
		switch {
		case err == nil:
			pause = time.Millisecond
			l.admit(link)
		case errors.Is(err, io.EOF):
			return
		default: // out of descriptors, most likely: the peers stay in the backlog
			l.cfg.Log("accept on %s: %v", l.name, err)
			if !l.rest(pause) {
				return
			}
			pause = min(2*pause, time.Second)
		}
	}
}

func (l *Listener) rest(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.closing:
		return false
	}
}

// admit starts a connection, within the limits.
func (l *Listener) admit(link link) {
	e := link.evidence()
	if !l.enter(e.UID) {
		l.cfg.Log("%v refused on %s: too many connections", e, l.name)
		refuse(l.transport, link)
		link.close()
		return
	}
	c := newConn(l.transport, fmt.Sprintf("%s of %v", l.name, e), l.cfg, (*Conn).welcome)
	c.cfg.Events = Events{Invalid: l.turnedAway}
	c.release = func() { l.exit(e.UID) }
	go c.run(link)
}

// turnedAway is the last event of a connection that Accept gave no others.
func (l *Listener) turnedAway(c *Conn, err error) { l.cfg.Log("%v: %v", c, err) }

func (l *Listener) enter(uid uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers >= l.cfg.MaxPeers || l.byUID[uid] >= max(1, l.cfg.MaxPeers/2) {
		return false
	}
	l.peers++
	l.byUID[uid]++
	return true
}

func (l *Listener) exit(uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers--
	if l.byUID[uid]--; l.byUID[uid] == 0 {
		delete(l.byUID, uid)
	}
}
