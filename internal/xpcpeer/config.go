package xpcpeer

// A Policy decides whether the process that Evidence describes may be our
// peer: nil is yes. It runs before anything of the peer is acted on, on every
// new connection, perhaps for several peers at the same time. The Evidence
// belongs to the connection. A nil Policy refuses everyone.
type Policy func(*Evidence) error

// Events are what happens on one connection. They are called one at a time, in
// order. Each may be nil.
type Events struct {
	Message     func(*Conn, *Message) // a message or call from the peer
	Interrupted func(*Conn)           // only on connections made by Dial: the peer died, the next message finds its successor
	Invalid     func(*Conn, error)    // the last event, exactly once; the error is ErrInvalid and its cause
}

// Config is how a connection or listener behaves. The zero value of a number
// means its default.
type Config struct {
	Policy Policy

	// Requirement is what a peer's code signature must satisfy, in Apple's
	// requirement language. The XPC transport refuses to work without one and has
	// the system check every message; others ignore it.
	Requirement string

	Events // for Dial, DialEndpoint and FromFile

	// Accept is for listeners: it is called for each peer that passed Policy,
	// perhaps for several at the same time, and answers the peer's Events. An
	// error turns the peer away.
	Accept func(*Conn) (Events, error)

	MaxOutstanding int // calls in flight on a connection (64); one more answers ErrBusy
	MaxQueue       int // messages waiting to be written (256); one more invalidates the connection with ErrFlooded
	MaxPeers       int // a listener's peers at once (64), half of them for one uid
	MaxWaiting     int // connections that a listener's Policy has not judged (128), a quarter of them for one uid

	Log func(format string, args ...any) // peers turned away and why; may be nil
}

func (c Config) withDefaults() Config {
	def := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	def(&c.MaxOutstanding, 64)
	def(&c.MaxQueue, 256)
	def(&c.MaxPeers, 64)
	def(&c.MaxWaiting, 128)
	if c.Log == nil {
		c.Log = func(string, ...any) {}
	}
	return c
}
