// Package capture knows how what a login sees becomes pixels in buffers it is
// given, and which part of them changed. It must never know who looks at them:
// no connection, no frame channel, no peer.
package capture

import (
	"context"
	"errors"
	"fmt"

	"portward/internal/surface"
)

// A Picture changes over time. It is a Source or a Lender, by who owns the memory
// that it is drawn into.
//
// Invalidate and Close may be called from any goroutine, at any time; all else
// belongs to one. Once a picture failed (ErrGeometry, ErrGone) or was closed
// (os.ErrClosed), Wait and what comes after it answer that reason for ever:
// Close it and open another.
type Picture interface {
	// Geometry is the picture's size and format; it never changes. Chains and
	// relays are made from it.
	Geometry() surface.Geometry

	// Wait answers nil when something changed that was not handed out yet, at
	// once if that is so already.
	Wait(ctx context.Context) error

	// Invalidate makes the whole picture pending and wakes Wait: somebody starts
	// with nothing, or lost a frame.
	Invalidate()

	// Close ends the picture and waits for what it started.
	Close() error
}

// A Source draws its picture into the buffers of a swap chain.
type Source interface {
	Picture

	// Bind hands over the buffers that Fill draws into, in the order of their
	// slots, and makes everything pending. They stay the caller's, who keeps
	// them open until Close or the next Bind.
	Bind([]*surface.Buffer) error

	// Fill brings the slot up to date: its whole content is valid afterwards.
	// The region is what changed since the last Fill of any slot, empty if
	// nothing did. The caller makes sure that nobody reads the slot meanwhile.
	Fill(slot int) (surface.Region, error)
}

// A Lender has its picture in surfaces that the system draws into, one after the
// other as it likes, and lends them as they are.
type Lender interface {
	Picture

	// Lend answers the latest picture, after Wait, and what changed since one
	// was lent. The system does not draw into it until it is released, which it
	// must be, also after Close. There is one from the start. One whose surface
	// is lent already is not lent again before: Wait waits for that too.
	Lend() (surface.Lent, surface.Region, error)
}

var (
	// ErrGeometry says that the picture's size changed: open the source again
	// and make a new chain.
	ErrGeometry = errors.New("geometry changed")

	// ErrGone says that the display does not answer (any more): open it again,
	// with back-off.
	ErrGone = errors.New("display is gone")
)

// checkBuffers refuses buffers that do not hold a picture of geometry g or
// whose slots are not 0, 1, 2... in this order.
func checkBuffers(g surface.Geometry, buffers []*surface.Buffer) error {
	if len(buffers) == 0 {
		return errors.New("no buffers to bind")
	}
	for i, b := range buffers {
		if b.Slot != i {
			return fmt.Errorf("buffer %d is of slot %d", i, b.Slot)
		}
		if len(b.Pix) < g.Size() {
			return fmt.Errorf("buffer of slot %d has %d bytes, the picture %d", i, len(b.Pix), g.Size())
		}
	}
	return nil
}
