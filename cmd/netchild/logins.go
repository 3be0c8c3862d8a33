package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"portward/internal/program"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// newLoginWithin is how long a peer of an unknown user waits at the door for
// its login to become known: its agent may be quicker than the news of it.
const newLoginWithin = 2 * time.Second

// logins is who is logged in, as the supervisor tells it.
type logins struct {
	mu      sync.Mutex
	list    []wire.SessionInfo
	changed chan struct{} // closed and replaced at each change
	told    uint64        // changes that the supervisor told of its own accord
}

func newLogins() *logins { return &logins{changed: make(chan struct{})} }

// heard answers how often tell was called.
func (l *logins) heard() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

// tell takes news from the supervisor.
func (l *logins) tell(list []wire.SessionInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told++
	l.setLocked(list)
}

// set takes the list of a check-in, unless there was news since heard answered
// told: that is younger.
func (l *logins) set(told uint64, list []wire.SessionInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told == told {
		l.setLocked(list)
	}
}

func (l *logins) setLocked(list []wire.SessionInfo) {
	l.list = list
	close(l.changed)
	l.changed = make(chan struct{})
}

// find answers whether ok holds for a login now or within ctx.
func (l *logins) find(ctx context.Context, ok func(wire.SessionInfo) bool) bool {
	for {
		l.mu.Lock()
		list, changed := l.list, l.changed
		l.mu.Unlock()
		for _, s := range list {
			if ok(s) {
				return true
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// has answers whether uid is logged in as session.
func (l *logins) has(ctx context.Context, session string, uid uint32) bool {
	return l.find(ctx, func(s wire.SessionInfo) bool { return s.ID == session && s.UID == uint64(uid) })
}

// probes says whether the probe of a trial runs as uid at present.
func (l *logins) probes(uid uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.list, wire.SessionInfo{ID: wire.ProbeSession, UID: uint64(uid)})
}

// mayEnter is the policy of netchild's service: a user who is logged in, and,
// where the kernel lets netchild see it, an executable that a seal names
// as an agent.
func (n *netchild) mayEnter(ev *xpcpeer.Evidence) error {
	ctx, cancel := context.WithTimeout(context.Background(), newLoginWithin)
	defer cancel()
	if !n.logins.find(ctx, func(s wire.SessionInfo) bool { return s.UID == uint64(ev.UID) }) {
		return fmt.Errorf("uid %d has no session", ev.UID)
	}
	return n.sealed(ev, launchd.GUIAgent)
}

// sealed checks that ev's process runs an executable that a seal calls id.
// Of a process of another user an unprivileged netchild may not know it (the
// kernel answers EACCES for /proc/PID/exe); there the uid alone decides, beside
// the signature where the system asks for one.
func (n *netchild) sealed(ev *xpcpeer.Evidence, id string) error {
	err := program.Runs(ev, n.bundle, id)
	if errors.Is(err, program.ErrHidden) && n.otherUser(ev) {
		return nil
	}
	return err
}
