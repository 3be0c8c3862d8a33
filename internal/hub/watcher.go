package hub

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The pause between two refreshes of a session: it doubles while they bring no
// whole frame.
const (
	minRefreshGap = 100 * time.Millisecond
	maxRefreshGap = 2 * time.Second
)

// A Viewer takes updates. Both methods are called on the hub's loop and must
// not block or call the hub.
type Viewer interface {
	// Offer takes u or answers false because there is no room for it. After
	// false the viewer must report its Subscription Drained for that session
	// once it has sent what it holds of it.
	Offer(u Update) bool
	// Sessions tells the sessions that are there: at once after Subscribe, when
	// one comes or goes (before its first update) or changes its size, and about
	// once a second.
	Sessions([]SessionState)
}

// standing is how a viewer stands with one session.
type standing uint8

const (
	stale   standing = iota // needs a whole frame, and can take it
	blocked                 // needs a whole frame, and its queue is full
	current                 // has the picture: changes are enough
)

func (s standing) String() string {
	switch s {
	case stale:
		return "stale"
	case blocked:
		return "blocked"
	case current:
		return "current"
	}
	return fmt.Sprintf("standing(%d)", uint8(s))
}

type watcher struct{ Viewer }

// A Subscription is a viewer's place in the hub.
type Subscription struct {
	hub  *Hub
	w    *watcher
	once sync.Once
}

// Subscribe brings v in: it is told the sessions, and each is asked for a whole
// frame. It stays until Cancel.
func (h *Hub) Subscribe(ctx context.Context, v Viewer) (*Subscription, error) {
	w := &watcher{v}
	if err := h.ask(ctx, func() { h.join(w) }); err != nil {
		return nil, fmt.Errorf("subscribing a viewer: %w", err)
	}
	return &Subscription{hub: h, w: w}, nil
}

// Cancel takes the viewer out; when it has returned, the hub calls the viewer
// no more. It may be called any number of times.
func (s *Subscription) Cancel() {
	s.once.Do(func() {
		_ = s.hub.ask(context.Background(), func() { s.hub.leave(s.w) })
	})
}

// Drained says that the viewer, which refused an update of that session, has
// sent all it had of it and can take a whole frame.
func (s *Subscription) Drained(session string) {
	h, w := s.hub, s.w
	h.tell(func() {
		if t := h.sessions[session]; t != nil && t.standing[w] == blocked {
			t.standing[w] = stale
			h.refreshStale(t)
		}
	})
}

func (h *Hub) join(w *watcher) {
	h.watchers[w] = struct{}{}
	h.viewers.Store(int32(len(h.watchers)))
	w.Sessions(h.states())
	for _, s := range h.sessions {
		h.refreshStale(s)
	}
}

func (h *Hub) leave(w *watcher) {
	delete(h.watchers, w)
	for _, s := range h.sessions {
		delete(s.standing, w)
	}
	h.viewers.Store(int32(len(h.watchers)))
	if len(h.watchers) == 0 {
		h.emptySince = time.Now()
		h.relieveEncoders()
	}
}

// publish tells every viewer the sessions.
func (h *Hub) publish() {
	if len(h.watchers) == 0 {
		return
	}
	states := h.states()
	for w := range h.watchers {
		w.Sessions(states)
	}
}

// deliver offers u to everyone who can use it.
func (h *Hub) deliver(s *session, u Update) {
	if !h.attached(s) {
		return
	}
	if u.Whole {
		s.gap = minRefreshGap
	}
	for w := range h.watchers {
		if s.standing[w] != current && !u.Whole {
			continue
		}
		s.standing[w] = blocked
		if w.Offer(u) {
			s.standing[w] = current
		}
	}
}

// refreshStale asks for a whole frame of s if a viewer needs one and can take
// it, unless one has just been asked for.
func (h *Hub) refreshStale(s *session) {
	if s.cooling || !h.anyStale(s) {
		return
	}
	gap := s.gap
	s.cooling, s.gap = true, min(2*gap, maxRefreshGap)
	go func() {
		s.refresh()
		h.cool(s, gap)
	}()
}

func (h *Hub) anyStale(s *session) bool {
	for w := range h.watchers {
		if s.standing[w] == stale {
			return true
		}
	}
	return false
}

// cool waits for gap and then lets s be refreshed again.
func (h *Hub) cool(s *session, gap time.Duration) {
	t := time.NewTimer(gap)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
		return
	}
	h.tell(func() {
		s.cooling = false
		if h.attached(s) {
			h.refreshStale(s)
		}
	})
}
