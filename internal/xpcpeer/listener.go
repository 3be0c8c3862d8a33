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

	turnedAway     lines
	mu             sync.Mutex
	waiting, peers places
}

// Listen serves the named service: cfg.Policy, then cfg.Accept for every peer.
func Listen(t Transport, name string, cfg Config) (*Listener, error) {
	a, err := t.listen(name, cfg.Requirement)
	if err != nil {
		return nil, &Error{"listen", name, err}
	}
	return newListener(t, name, a, cfg), nil
}

// Anonymous serves whoever gets its Endpoint, from whomever.
func Anonymous(t Transport, cfg Config) (*Listener, error) {
	a, err := t.anonymous(cfg.Requirement)
	if err != nil {
		return nil, &Error{"listen", "anonymously", err}
	}
	return newListener(t, "anonymous", a, cfg), nil
}

func newListener(t Transport, name string, a acceptor, cfg Config) *Listener {
	l := &Listener{name: name, transport: t, acceptor: a, cfg: cfg.withDefaults()}
	l.turnedAway = lines{name: name, log: l.cfg.Log}
	l.closing, l.done = make(chan struct{}), make(chan struct{})
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

// admit starts a connection, within the limits: of those whom the policy has
// not judged yet, who may be anybody, and then of peers.
func (l *Listener) admit(first link) {
	e := first.evidence()
	if !l.enter(&l.waiting, e.UID, l.cfg.MaxWaiting, l.cfg.MaxWaiting/4) {
		l.turnedAway.printf("%v refused on %s: too many wait to be judged", e, l.name)
		refuse(l.transport, first)
		first.close()
		return
	}
	place := &l.waiting
	c := newConn(l.transport, fmt.Sprintf("%s of %v", l.name, e), l.cfg, func(c *Conn, k link) error {
		err := c.judge(k)
		if err == nil && !l.enter(&l.peers, e.UID, l.cfg.MaxPeers, l.cfg.MaxPeers/2) {
			err = fmt.Errorf("%w: too many connections", ErrRefused)
		} else if err == nil {
			l.exit(place, e.UID)
			place = &l.peers
			err = c.meet()
		}
		if err != nil {
			refuse(c.transport, k)
			return err
		}
		return c.sendWelcome(k)
	})
	c.cfg.Events = Events{Invalid: func(c *Conn, err error) { l.turnedAway.printf("%v: %v", c, err) }}
	c.release = func() { l.exit(place, e.UID) } // after the handshake, in the same goroutine
	go c.run(first)
}

// places are connections, and whose they are.
type places struct {
	n     int
	byUID map[uint32]int
}

func (l *Listener) enter(p *places, uid uint32, most, mostOfOne int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.n >= most || p.byUID[uid] >= max(1, mostOfOne) {
		return false
	}
	if p.byUID == nil {
		p.byUID = make(map[uint32]int)
	}
	p.n++
	p.byUID[uid]++
	return true
}

func (l *Listener) exit(p *places, uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.n--
	if p.byUID[uid]--; p.byUID[uid] == 0 {
		delete(p.byUID, uid)
	}
}
