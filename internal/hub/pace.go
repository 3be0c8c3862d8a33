package hub

import (
	"context"
	"time"

	"portward/internal/surface"
)

// frameGap is the least time between two frames of a session in the long run:
// 250 a second, more than any screen shows.
const frameGap = 4 * time.Millisecond

// A pace holds a session to frameGap: an agent that shows more runs out of slots
// and waits. Where there was a pause,
// surface.Slots frames are taken at once, as many as there can be. The zero pace
// has seen nothing.
type pace struct{ even time.Time } // when the next frame comes if all come evenly

// wait waits until a frame may be taken.
func (p *pace) wait(ctx context.Context) error {
	early := time.Until(p.even.Add(-(surface.Slots - 1) * frameGap))
	if early <= 0 {
		return nil
	}
	t := time.NewTimer(early)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// took counts a frame.
func (p *pace) took(now time.Time) {
	if p.even.Before(now) {
		p.even = now
	}
	p.even = p.even.Add(frameGap)
}
