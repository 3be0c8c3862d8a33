// Package surface knows shared pixels: buffers in memory that two processes
// map, and the swap chain of three that carries frames from a producer to a
// consumer without a copy; or the surfaces of somebody else, relayed in the same
// way. It must never know what the pixels show, who the peer is, or how the
// handles reached it.
//
// The producer, a Chain, fills a free slot and submits it; the consumer, a
// Sink, reads the frame and releases it; only then is the slot free again. So
// a slow consumer costs frames, never memory. Handles cross once for each
// geometry, a frame costs one descriptor of 64 bytes whatever its size. A
// Relay submits surfaces that another library made; a Sink cannot tell.
//
// The two do not trust each other. What arrives is checked before it is used,
// and a lie (ErrHostile) ends the channel for both.
package surface

import "errors"

// What callers branch on.
var (
	// ErrHostile means that the peer broke a rule it cannot break by accident.
	ErrHostile = errors.New("hostile peer")
	// ErrLimit means that the peer wants more than one peer gets.
	ErrLimit = errors.New("limit reached")
	// ErrFull means that a relay has met as many surfaces as a consumer takes.
	ErrFull = errors.New("too many surfaces")
	// ErrLost means that the channel between producer and consumer is gone.
	ErrLost = errors.New("frame channel lost")
	// ErrClosed means that this end was closed by its owner.
	ErrClosed = errors.New("surface closed")
)
