package jobs

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Embedded is the engine that lives in this process. Its methods may be called
// from any goroutine.
type Embedded struct {
	opts        Options
	host        host
	root        bool
	paths       *paths
	lifeline    *os.File // inherited by each job
	lifelineEnd *os.File // never: its other end
	requests    chan func(*loop)
	done        chan struct{} // closed when nothing is left
}

var _ Engine = (*Embedded)(nil)

// NewEmbedded starts an engine without jobs and sessions. It lives until Close.
func NewEmbedded(o Options) (*Embedded, error) {
	h, err := newHost()
	if err != nil {
		return nil, wrap("start", "embedded engine", err)
	}
	e, err := newEmbedded(o, h)
	if err != nil {
		h.close()
		return nil, wrap("start", "embedded engine", err)
	}
	return e, nil
}

func newEmbedded(o Options, h host) (*Embedded, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	e := &Embedded{
		opts: o, host: h, root: os.Geteuid() == 0,
		paths: newPaths(o.Log), lifeline: r, lifelineEnd: w,
		requests: make(chan func(*loop)), done: make(chan struct{}),
	}
	l := &loop{
		e: e, jobs: map[Target]*job{}, lives: map[Target]uint64{}, exists: map[string]bool{},
		begun: make(chan begun), ended: make(chan ended),
		timer: time.NewTimer(0), change: e.paths.events,
	}
	go l.run() // Close waits for done
	return e, nil
}

// Bootstrap is Engine's.
func (e *Embedded) Bootstrap(ctx context.Context, d Domain, path string) error {
	if err := d.Check(); err != nil {
		return wrap("bootstrap", path, err)
	}
	spec, err := LoadSpec(path)
	if err != nil {
		return wrap("bootstrap", string(d), err)
	}
	spec = spec.mapped(e.opts.Prefix, e.opts.Root)
	err = e.wait(ctx, func(l *loop, reply chan<- error) { reply <- l.bootstrap(d, spec) })
	return wrap("bootstrap", string(MakeTarget(d, spec.Label)), err)
}

// Bootout is Engine's.
func (e *Embedded) Bootout(ctx context.Context, t Target) error {
	return e.order(ctx, "bootout", t, func(l *loop, reply chan<- error) { l.bootout(t, reply) })
}

// Kickstart is Engine's.
func (e *Embedded) Kickstart(ctx context.Context, t Target, kill bool) error {
	return e.order(ctx, "kickstart", t, func(l *loop, reply chan<- error) { l.kickstart(t, kill, reply) })
}

// Hold is Engine's.
func (e *Embedded) Hold(ctx context.Context, t Target, until time.Time) error {
	return e.order(ctx, "hold", t, func(l *loop, reply chan<- error) { reply <- l.hold(t, until) })
}

// State is Engine's.
func (e *Embedded) State(ctx context.Context, t Target) (State, error) {
	s, err := query(ctx, e, func(l *loop) (State, error) {
		j := l.jobs[t]
		if j == nil {
			return State{}, ErrNotLoaded
		}
		return j.state(time.Now(), l.wanted(j)), nil
	})
	return s, wrap("state", string(t), err)
}

// List is Engine's.
func (e *Embedded) List(ctx context.Context) ([]State, error) {
	s, err := query(ctx, e, func(l *loop) ([]State, error) {
		all := make([]State, 0, len(l.jobs))
		for _, j := range l.jobs {
			all = append(all, j.state(time.Now(), l.wanted(j)))
		}
		slices.SortFunc(all, func(a, b State) int { return strings.Compare(string(a.Target), string(b.Target)) })
		return all, nil
	})
	return s, wrap("list", "jobs", err)
}

// Sessions is Engine's.
func (e *Embedded) Sessions(ctx context.Context) ([]Session, error) {
	s, err := query(ctx, e, func(l *loop) ([]Session, error) {
		all := make([]Session, len(l.sessions))
		for i, s := range l.sessions {
			all[i] = s.Session
			all[i].Env = nil
		}
		return all, nil
	})
	return s, wrap("list", "sessions", err)
}

// Watch is Engine's. Close ends every watch, after its last event.
func (e *Embedded) Watch(ctx context.Context) (<-chan Event, error) {
	c, err := query(ctx, e, func(l *loop) (<-chan Event, error) { return l.watch(ctx), nil })
	return c, wrap("watch", "jobs", err)
}

// Login opens a session and loads the agents that are for it. When one cannot
// be loaded the session stays open, and the error says which.
func (e *Embedded) Login(s Session) error {
	err := checkSession(&s)
	if err == nil {
		err = e.wait(context.Background(), func(l *loop, reply chan<- error) { reply <- l.login(s) })
	}
	return wrap("login", s.ID, err)
}

// Logout stops the session's jobs and returns when they and it are gone.
func (e *Embedded) Logout(ctx context.Context, id string) error {
	err := e.wait(ctx, func(l *loop, reply chan<- error) { l.logout(id, reply) })
	return wrap("logout", id, err)
}

// Addr answers the host:port at which the engine listens for a key of a job's
// Sockets.
func (e *Embedded) Addr(ctx context.Context, t Target, key string) (string, error) {
	addr, err := query(ctx, e, func(l *loop) (string, error) {
		j := l.jobs[t]
		if j == nil {
			return "", ErrNotLoaded
		}
		for _, h := range j.held {
			if h.name == key && h.addr != "" {
				return h.addr, nil
			}
		}
		return "", fmt.Errorf("socket %q: %w", key, os.ErrNotExist)
	})
	return addr, wrap("address", string(t), err)
}

// closeGrace is how long processes may take to vanish after SIGKILL; only one
// that hangs in the kernel needs more.
const closeGrace = 5 * time.Second

// Close stops everything: the sessions' jobs, then the system's, then those of
// StopLast one after the other. Nothing is started any more. When ctx ends, all
// that is left is killed. Afterwards no process, socket, goroutine or
// descriptor of the engine is left; if one cannot be killed the error is ctx's.
func (e *Embedded) Close(ctx context.Context) error {
	e.tell(func(l *loop) { l.closing = true })
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
	}
	e.tell(func(l *loop) { l.killAll() })
	select {
	case <-e.done:
		return nil
	case <-time.After(closeGrace):
		return wrap("close", "embedded engine", ctx.Err())
	}
}

func (l *loop) killAll() {
	l.killing = true
	for _, j := range l.jobs {
		l.kill(j)
	}
}

func (e *Embedded) logf(format string, args ...any) {
	if e.opts.Log != nil {
		e.opts.Log(format, args...)
	}
}
