package surface

import "context"

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
