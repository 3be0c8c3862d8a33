package viewer

import (
	"slices"
	"sync"

	"portward/internal/hub"
)

// Bounds of what waits of one session for one viewer.
const (
	laneLength = 2       // updates
	laneBytes  = 8 << 20 // of them together; a single one may be larger: a whole picture
)

// An outbox is what waits for one viewer: the newest state of the sessions, and
// a short lane of updates for each session, served in turn, so that a busy login
// does not starve a quiet one. The hub's loop fills it without ever waiting.
//
// A viewer that does not read costs no more than its lanes and the one message
// that is being written: for each session 8 MiB, or one picture if that is
// larger (pixels x 4 and, where it does not compress, a sixth more). What waits
// for several viewers they share. It is let go after patiences.write.
type outbox struct {
	wake chan struct{} // holds one token when there may be something to take

	mu     sync.Mutex
	states []hub.SessionState // nil: nothing new
	lanes  map[string]*lane
	turns  []string // each session with a non-empty lane once, the next one first
}

type lane struct {
	updates []hub.Update
	refused bool // an update found no room; the hub waits to be told of the end
}

// makeWay drops what a whole picture makes needless, and with it the wish to be
// told of the end.
func (l *lane) makeWay(u hub.Update) {
	if u.Whole {
		clear(l.updates)
		l.updates, l.refused = l.updates[:0], false
	}
}

func (l *lane) hasRoom(u hub.Update) bool {
	if len(l.updates) == 0 {
		return true
	}
	return len(l.updates) < laneLength && l.bytes()+u.Message.Len() <= laneBytes
}

func (l *lane) bytes() (n int) {
	for _, u := range l.updates {
		n += u.Message.Len()
	}
	return n
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), lanes: make(map[string]*lane)}
}

// Offer implements hub.Viewer.
func (b *outbox) Offer(u hub.Update) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[u.Session]
	if l == nil {
		l = &lane{}
		b.lanes[u.Session] = l
	}
	l.makeWay(u)
	if !l.hasRoom(u) {
		l.refused = true
		return false
	}
	if l.updates = append(l.updates, u); !slices.Contains(b.turns, u.Session) {
		b.turns = append(b.turns, u.Session)
	}
	b.wakeUp()
	return true
}

// Sessions implements hub.Viewer. What waits for a session that has gone is
// dropped.
func (b *outbox) Sessions(states []hub.SessionState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	there := make(map[string]bool, len(states))
	for _, s := range states {
		there[s.ID] = true
	}
	for id := range b.lanes {
		if !there[id] {
			delete(b.lanes, id)
		}
	}
	b.turns = slices.DeleteFunc(b.turns, func(id string) bool { return !there[id] })
	b.states = states
	b.wakeUp()
}

func (b *outbox) wakeUp() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take answers what is to be sent next: the sessions, if states is not nil, or
// an update. False: nothing waits.
func (b *outbox) take() (states []hub.SessionState, u hub.Update, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.states != nil {
		states, b.states = b.states, nil
		return states, hub.Update{}, true
	}
	if len(b.turns) == 0 {
		return nil, hub.Update{}, false
	}
	id := b.turns[0]
	b.turns = b.turns[1:]
	l := b.lanes[id]
	u = l.updates[0]
	if l.updates = slices.Delete(l.updates, 0, 1); len(l.updates) > 0 { // and the message can be collected
		b.turns = append(b.turns, id)
	}
	return nil, u, true
}

// sent is called after an update has been written; true says that the session's
// lane had refused one and is empty now.
func (b *outbox) sent(session string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[session]
	if l == nil || !l.refused || len(l.updates) > 0 {
		return false
	}
	l.refused = false
	return true
}
