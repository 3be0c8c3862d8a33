package surface

import (
	"os"

	"portward/internal/wire"
)

// A Platform is one operating system's shared memory and its channel for
// descriptors. NewChain and Open of the package are those of the system's own;
// the two ends of a chain have the same Platform.
type Platform struct {
	memories memories
	channels channels
}

// Native is this system's own Platform: memfds on Linux, IOSurfaces on macOS.
// Elsewhere it answers errors.ErrUnsupported to everything.
func Native() Platform { return native() }

// NewChain makes the buffers, all black and all free.
func NewChain(g Geometry) (*Chain, error) { return Native().NewChain(g) }

// NewRelay makes a relay without surfaces.
func NewRelay(g Geometry) (*Relay, error) { return Native().NewRelay(g) }

// Open checks what a peer sent and maps it. It owns the handles, and closes
// them, whatever it answers: ErrLimit beyond the account, ErrHostile (after
// the platform's rules) for a peer that lies. A nil account counts nothing.
func Open(g Geometry, surfaces []wire.Handle, frames wire.Handle, a *Account) (*Sink, error) {
	return Native().Open(g, surfaces, frames, a)
}

// memories are a platform's way to share pixels.
type memories interface {
	// create makes a buffer of g, all zero, for writing.
	create(g Geometry) (memory, error)

	// adopt maps a peer's buffer for reading, after it has proven that reading it
	// can never fault. It borrows the handle. The error is ErrHostile for a lie.
	adopt(h wire.Handle, g Geometry) (memory, identity, error)
}

// An identity tells two buffers apart, by whatever the system tells them apart.
type identity [2]uint64

// A memory is one buffer that two processes map, seen from one of them.
type memory interface {
	// lock answers the pixels, exactly a geometry's size, valid until unlock.
	lock() ([]byte, error)
	unlock()

	// inUse says whether somebody has the buffer locked for reading, or is about
	// to get it.
	inUse() bool

	// handle is what goes into messages, borrowed.
	handle() wire.Handle

	close()
}

// channels are a platform's way to carry descriptors.
type channels interface {
	// create answers the producer's end, and the consumer's as a descriptor to be
	// sent.
	create() (channel, *os.File, error)

	// adopt answers the consumer's end. It borrows f and refuses, as ErrHostile,
	// what is no channel.
	adopt(f *os.File) (channel, error)
}
