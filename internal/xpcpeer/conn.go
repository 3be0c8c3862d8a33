package xpcpeer

import (
	"context"
	"os"
	"sync"
	"time"

	"portward/internal/wire"
)

// A Conn is a connection to one peer. All methods may be called by any
// goroutine, from handlers too. It lives until its Invalid event; its owner
// must Close it, or wait for the peer's end.
//
//	          first message            welcome, policy: yes
//	asleep ------------------> greeting ------------------> up
//	  ^                          |   |                       |
//	  |        peer dies (Dial)  |   | no                    |
//	  +--------------------------+---|-----------------------+
//	             Interrupted         v
//	                              invalid <---- Close, lies, floods, other deaths
type Conn struct {
	name      string
	transport Transport
	cfg       Config
	greet     func(*Conn, link) error             // the handshake of its side
	dial      func(context.Context) (link, error) // nil: the first link is the last
	redials   bool                                // a link that breaks is an interruption
	release   func()                              // of what dial needs
	alive     context.Context                     // ends when our side quits
	kill      context.CancelFunc
	done      chan struct{}

	last  time.Time // of the reader: when the packet before came
	brief bool      // the next one is expected as soon

	mu       sync.Mutex
	change   *sync.Cond    // of anything below
	wanted   bool          // somebody waits for a link
	end      error         // why the connection is invalid; nil while it is not
	link     link          // the present one; nil: asleep
	up       bool          // both policies said yes to it
	broken   bool          // a write to it failed
	writing  bool          // the writer is at it
	occupied bool          // a handler runs
	inbox    chan *Message // of the goroutine that reads meanwhile; nil: there is none
	lendable bool          // the reader waits
	lent     bool          // to a caller
	found    *found        // by a caller, for the reader
	queue    []outgoing
	calls    map[uint64]*call
	lastID   uint64
	waiting  []chan error // of Activate
	evidence *Evidence
	value    any
}

// Dial answers a connection to the service of that name. As in XPC it does
// nothing until the first message, and finds out only then whether the service
// exists. If the service is not running its connection waits for it.
func Dial(t Transport, name string, cfg Config) *Conn {
	c := newConn(t, name, cfg, (*Conn).awaitWelcome)
	c.redials = true
	c.dial = func(ctx context.Context) (link, error) { return t.dial(ctx, name, cfg.Requirement) }
	go c.run(nil)
	return c
}

// DialEndpoint answers a connection to the listener behind an endpoint, of
// which it takes a reference of its own. The death of the listener's process
// makes it invalid.
func DialEndpoint(t Transport, ep wire.Handle, cfg Config) (*Conn, error) {
	own, err := t.retain(ep)
	if err != nil {
		return nil, &Error{"dial", "endpoint", err}
	}
	c := newConn(t, "endpoint", cfg, (*Conn).awaitWelcome)
	c.dial = func(ctx context.Context) (link, error) { return t.connect(ctx, own, cfg.Requirement) }
	c.release = func() { own.Close() }
	go c.run(nil)
	return c, nil
}

// Keep answers a handle to the same endpoint of t's that is the caller's own. It
// may outlive the message that brought the other one.
func Keep(t Transport, ep wire.Handle) (wire.Handle, error) {
	own, err := t.retain(ep)
	if err != nil {
		return wire.Handle{}, &Error{"keep", "endpoint", err}
	}
	return own, nil
}

// FromFile answers the connection of a connected, inherited SOCK_SEQPACKET
// socket, which it takes over, also when it fails. Both ends must use FromFile:
// each sends a welcome, whose credentials are the other's evidence (SO_PEERCRED
// of a socketpair names the process that made it).
func FromFile(f *os.File, cfg Config) (*Conn, error) {
	name := f.Name()
	t, l, err := adopt(f)
	if err != nil {
		return nil, &Error{"adopt", name, err}
	}
	c := newConn(t, name, cfg, (*Conn).exchangeWelcomes)
	go c.run(l)
	return c, nil
}

func newConn(t Transport, name string, cfg Config, greet func(*Conn, link) error) *Conn {
	c := &Conn{name: name, transport: t, cfg: cfg.withDefaults(), greet: greet}
	c.release = func() {}
	c.alive, c.kill = context.WithCancel(context.Background())
	c.done = make(chan struct{})
	c.change = sync.NewCond(&c.mu)
	c.calls = make(map[uint64]*call)
	return c
}

// Activate connects now and waits until both sides' policies have said yes. It
// is not needed before Send and Call.
func (c *Conn) Activate(ctx context.Context) error {
	done := make(chan error, 1)
	c.mu.Lock()
	switch {
	case c.end != nil:
		done <- c.end
	case c.up:
		done <- nil
	default:
		c.waiting = append(c.waiting, done)
		c.wanted = true
		c.change.Broadcast()
	}
	c.mu.Unlock()
	select {
	case err := <-done:
		return c.fail("activate", err)
	case <-ctx.Done():
		return c.fail("activate", ctx.Err())
	}
}

// Send queues a message and does not wait for it to be written, much less
// read. The dictionary and its handles stay the caller's.
func (c *Conn) Send(ctx context.Context, d wire.Dict) error {
	if err := ctx.Err(); err != nil {
		return c.fail("send", err)
	}
	p, err := c.transport.pack(packet{kind: kindMessage, dict: d})
	if err != nil {
		return c.fail("send", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fail("send", c.enqueueLocked(outgoing{parcel: p}))
}

// Close makes the connection invalid: calls in flight end with ErrInvalid,
// messages that the peer does not take at once are discarded, the Invalid event
// is the last. It does not wait for any of that; Done does.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quitLocked(ErrInvalid, true)
	return nil
}

// Done is closed when the Invalid event has returned and nothing of the
// connection is left.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Evidence answers what is known about the present peer, or about the last
// one; nil before the first.
func (c *Conn) Evidence() *Evidence {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.evidence
}

// Value answers what SetValue set.
func (c *Conn) Value() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

// SetValue keeps anything of the owner's with the connection.
func (c *Conn) SetValue(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value = v
}

// String names the peer for people.
func (c *Conn) String() string { return c.name }

func (c *Conn) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{op, c.name, err}
}
