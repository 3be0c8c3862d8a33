package surface

import (
	"context"
	"os"
)

// A channel carries descriptors between one producer and one consumer. Sending
// never waits: a peer that lets its queue fill up is ErrHostile, because an
// honest one never has more than Slots messages unread. Receiving waits;
// what arrives has passed decode. A peer that is gone is ErrLost, and close,
// by any goroutine, wakes the receiver with ErrClosed.
type channel interface {
	sendFrame(descriptor) error
	recvFrame(context.Context) (descriptor, error)
	sendRelease(descriptor) error
	recvRelease() (descriptor, error)
	close()
}

// newChannel makes a channel: the producer's end, and the consumer's as a
// descriptor to be sent.
func newChannel() (channel, *os.File, error) { return makeChannel() }

// openChannel is the consumer's end. It borrows f and refuses, as ErrHostile,
// what is no channel.
func openChannel(f *os.File) (channel, error) { return adoptChannel(f) }
