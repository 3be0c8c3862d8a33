package xpcpeer

import (
	"context"
	"errors"
	"time"

	"portward/internal/wire"
)

// A Transport is a way for processes to reach each other: Unix, Mem and, on
// macOS, XPC. It has no exported methods; Listen, Anonymous, Dial and
// DialEndpoint use it.
//
// Unix and Mem move a packet as bytes with the objects beside them. XPC moves
// the native dictionary: a link is a native connection for one life of ours, its
// receive is fed by the event handler and by the blocks of replies, and what
// libxpc calls a reply is one here.
//
// requirement is what a peer's code signature must satisfy, for transports that
// can ask for one.
type Transport interface {
	listen(name, requirement string) (acceptor, error)
	anonymous(requirement string) (acceptor, error)
	dial(ctx context.Context, name, requirement string) (link, error)
	connect(ctx context.Context, ep wire.Handle, requirement string) (link, error)
	retain(ep wire.Handle) (wire.Handle, error) // a reference of our own
	pack(packet) (parcel, error)                // a copy of our own, handles duplicated
}

// An acceptor is a transport's listener.
type acceptor interface {
	accept() (link, error) // io.EOF after close; other errors are passing ones
	endpoint() (wire.Handle, error)
	close() error
}

// A link is one life of a connection. receive is called by one goroutine at a
// time, try and send by one at a time, the others by any.
type link interface {
	// receive waits for a packet. errPeerGone: that, or close was called.
	// wire.ErrMalformed: the peer broke the rules.
	receive() (packet, error)
	// try is send where that takes no waiting. False: it would, or the transport
	// cannot tell, and the parcel is still the caller's.
	try(parcel) (bool, error)
	// send waits until the packet is on its way and closes the parcel in any case.
	// errPeerGone: it is, or would have to be waited for in a hurry.
	send(parcel) error
	// hurry makes sends, the present one too, fail where they would wait. Nothing
	// more need be received.
	hurry()
	// evidence is known from the start on accepted links, on others after the
	// first receive. It ends with the link.
	evidence() *Evidence
	close() // never waits
}

// A lender is a link whose packets somebody else can receive while the one who is
// there for it waits, and need not be woken for that.
type lender interface {
	link
	// receiveSoon is receive, but errNothing where nothing comes within soon.
	receiveSoon() (packet, error)
	// await waits, for as long as it takes, until there is something to receive.
	await()
	// lend lets await sleep through what comes, until giveBack. urgent: await ends
	// whatever there is.
	lend()
	giveBack(urgent bool)
}

// soon is how long a thread that waits in the kernel may keep its P: Go's runtime
// leaves it to him for about as long (retake in runtime/proc.go), and takes it away at
// some expense.
const soon = 5 * time.Millisecond

// What receive answers when it has no packet.
var (
	errPeerGone = errors.New("the peer is gone") // how a link ends by itself
	errNothing  = errors.New("nothing came")
)

// A parcel is a packet ready for one transport.
type parcel interface{ drop() }

// A packet is what links carry.
type packet struct {
	kind kind
	id   uint64    // of a call, its reply or failure; the protocol's version in a welcome
	dict wire.Dict // in messages, calls and replies
	code string    // in failures
}

const protocol = 1

// reserved begins the keys that are ours: no message has one.
const reserved = "portward."

type kind uint8

const (
	kindWelcome kind = iota + 1 // server to client, first: both policies may now be asked
	kindMessage
	kindCall
	kindReply
	kindFailure // in place of a reply, or of the welcome (id 0)
)

func (k kind) String() string {
	switch k {
	case kindWelcome:
		return "welcome"
	case kindMessage:
		return "message"
	case kindCall:
		return "call"
	case kindReply:
		return "reply"
	case kindFailure:
		return "failure"
	}
	return "unknown packet"
}

// Codes of failures; others are taken for codeUnanswered, and longer ones for lies.
const (
	codeRefused    = "refused"
	codeUnanswered = "unanswered"
	maxCode        = 64 // bytes
)
