package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"portward/internal/surface"
)

// Frames is where a session's pictures come from; *surface.Sink is one.
type Frames interface {
	// Next waits for a frame. The caller releases it exactly once.
	Next(ctx context.Context) (surface.Frame, error)
	Close() error
}

// SessionState is what a viewer is told about a session. ID is a StreamID.
type SessionState struct {
	Index  uint16  `json:"index"` // names the session in binary updates
	ID     string  `json:"id"`
	Width  int     `json:"width"` // pixels; 0 before the first frame
	Height int     `json:"height"`
	FPS    float64 `json:"fps"`    // frames of the last second
	Frames uint64  `json:"frames"` // since the session was first seen
}

// A session is one stream: a screen of a login. The second block is owned by the
// loop.
type session struct {
	id      string
	index   uint16
	frames  Frames
	release func(surface.Frame) error
	refresh func()
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the worker is through
	pace    pace          // of the worker

	count         uint64
	rate          rate
	width, height int
	standing      map[*watcher]standing
	cooling       bool          // a refresh is under way or was a moment ago
	gap           time.Duration // the pause after the next refresh
}

// Attach makes frames the stream of session id, which is a StreamID, in place of
// the one it had. From then on frames is the hub's: it closes it after detach, a
// replacement, the end of Run or the first error of Next. With an error frames is
// still the caller's.
//
// refresh asks the agent for a whole frame. It is called on a goroutine of its
// own, never twice at a time for one stream, and may take its time.
//
// detach ends the stream and returns when its last frame has been given back;
// it may be called any number of times.
func (h *Hub) Attach(ctx context.Context, id string, frames Frames, refresh func()) (detach func(), err error) {
	return h.stream(ctx, id, frames, surface.Frame.Release, refresh)
}

func (h *Hub) stream(ctx context.Context, id string, frames Frames, release func(surface.Frame) error, refresh func()) (detach func(), err error) {
	s := &session{
		id: id, frames: frames, release: release, refresh: refresh, gap: minRefreshGap,
		ended:    make(chan struct{}),
		standing: make(map[*watcher]standing),
	}
	var refused error
	if err := h.ask(ctx, func() { refused = h.attach(s) }); err != nil {
		return nil, fmt.Errorf("attaching session %s: %w", id, err)
	}
	if refused != nil {
		return nil, fmt.Errorf("attaching session %s: %w", id, refused)
	}
	return func() { s.cancel(); <-s.ended }, nil
}

func (h *Hub) attach(s *session) error {
	old := h.sessions[s.id]
	switch {
	case old != nil:
		old.cancel()
		s.index, s.count, s.rate = old.index, old.count, old.rate
	case len(h.sessions) >= MaxSessions:
		return ErrFull
	default:
		s.index = h.freeIndex()
	}
	s.ctx, s.cancel = context.WithCancel(h.ctx)
	h.sessions[s.id] = s
	h.publish()
	// A new stream begins with a whole frame of its own; only if it does not, a
	// refresh follows.
	s.cooling = true
	h.workers.Go(func() { h.work(s) })
	h.workers.Go(func() { h.cool(s, minRefreshGap) })
	return nil
}

// freeIndex answers the next index that no session has. Indexes come back only
// after 65,536 others, so an update on its way never meets another session.
func (h *Hub) freeIndex() uint16 {
	for {
		h.nextIndex++
		if !slices.ContainsFunc(h.list(), func(s *session) bool { return s.index == h.nextIndex }) {
			return h.nextIndex
		}
	}
}

// attached says whether s is still the stream of its session.
func (h *Hub) attached(s *session) bool { return h.sessions[s.id] == s }

func (h *Hub) remove(s *session) {
	if h.attached(s) {
		delete(h.sessions, s.id)
		h.publish()
	}
}

// list answers the sessions in the order of their ids.
func (h *Hub) list() []*session {
	l := make([]*session, 0, len(h.sessions))
	for _, s := range h.sessions {
		l = append(l, s)
	}
	slices.SortFunc(l, func(a, b *session) int { return compareIDs(a.id, b.id) })
	return l
}

func (h *Hub) states() []SessionState {
	now := time.Now()
	states := make([]SessionState, 0, len(h.sessions))
	for _, s := range h.list() {
		states = append(states, SessionState{s.index, s.id, s.width, s.height, s.rate.perSecond(now), s.count})
	}
	return states
}

// work is the session's goroutine: it takes frames until there are no more.
func (h *Hub) work(s *session) {
	defer close(s.ended)
	defer s.cancel()
	for {
		err := h.step(s)
		if err == nil {
			continue
		}
		if s.ctx.Err() == nil && !errors.Is(err, ErrStopped) {
			h.cfg.Log("session %s: %v", s.id, err)
		}
		break
	}
	if err := s.frames.Close(); err != nil {
		h.cfg.Log("closing the surface of session %s: %v", s.id, err)
	}
	_ = h.ask(context.Background(), func() { h.remove(s) })
}

// next waits for a frame, and before until the pace allows one.
func (s *session) next() (surface.Frame, error) {
	if err := s.pace.wait(s.ctx); err != nil {
		return surface.Frame{}, err
	}
	f, err := s.frames.Next(s.ctx)
	s.pace.took(time.Now())
	return f, err
}

// step carries one frame to the viewers.
func (h *Hub) step(s *session) error {
	f, err := s.next()
	if err != nil {
		return err
	}
	u, useful, err := h.translate(s, f)
	if err := errors.Join(err, s.release(f)); err != nil {
		return err
	}
	if !useful {
		return nil
	}
	return h.ask(s.ctx, func() { h.deliver(s, u) })
}

// translate tells the loop of f and, if anybody can use it, makes it a message.
// Only then it waits for an encoder: a frame that nobody wants waits for none.
func (h *Hub) translate(s *session, f surface.Frame) (u Update, useful bool, err error) {
	wanted := false
	if err := h.ask(s.ctx, func() { wanted = h.arrived(s, f) }); err != nil || !wanted {
		return Update{}, false, err
	}
	return h.encode(s, f)
}

// arrived counts f and says whether a viewer can use it.
func (h *Hub) arrived(s *session, f surface.Frame) bool {
	s.count++
	s.rate.add(time.Now())
	if s.width != f.Width || s.height != f.Height {
		s.width, s.height = f.Width, f.Height
		h.publish()
	}
	whole := isWhole(changes(f), f.Geometry)
	for w := range h.watchers {
		if whole || s.standing[w] == current {
			return h.attached(s)
		}
	}
	return false
}
