package hub

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a hub.
const (
	queueLength = 64          // items waiting for the loop
	tick        = time.Second // statistics to viewers, and the grain of Idle

	// MaxSessions is how many streams a hub carries at once.
	MaxSessions = 256
)

// Sentinels of this room.
var (
	ErrStopped = errors.New("the hub has stopped")
	ErrFull    = errors.New("too many sessions")
)

// Config is what a Hub needs from outside.
type Config struct {
	Beat  func()        // called by the loop after each finished item; may be nil
	Limit time.Duration // the loop must beat within this; 0: nobody counts yet, see SetLimit
	Log   func(format string, args ...any)
}

// A Hub carries frames from sessions to viewers. Its methods may be called
// before Run; what they ask for happens once Run does.
type Hub struct {
	cfg     Config
	queue   chan *item
	done    chan struct{} // closed when the loop has ended
	workers sync.WaitGroup
	viewers atomic.Int32

	encoders chan *encoder // those that are not at work

	// Owned by the loop.
	ctx        context.Context
	sessions   map[string]*session
	watchers   map[*watcher]struct{}
	nextIndex  uint16
	emptySince time.Time
	waiting    []idleWaiter
	asks       *time.Ticker // when to ask for a beat; stopped while there is no limit
}

// New makes a hub; Run brings it to life.
func New(cfg Config) *Hub {
	if cfg.Beat == nil {
		cfg.Beat = func() {}
	}
	if cfg.Log == nil {
		cfg.Log = func(string, ...any) {}
	}
	return &Hub{
		cfg:      cfg,
		queue:    make(chan *item, queueLength),
		done:     make(chan struct{}),
		encoders: newEncoders(max(1, runtime.GOMAXPROCS(0)-1)),
		sessions: make(map[string]*session),
		watchers: make(map[*watcher]struct{}),
	}
}

// Run is the loop. It returns nil when ctx ends, after every session's
// goroutine has given back its frame and closed its Frames. It must be called
// once. It does not wait for a refresh that is still under way.
func (h *Hub) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	h.ctx, h.emptySince = ctx, time.Now()
	defer h.workers.Wait()
	defer close(h.done)
	defer cancel()

	seconds := time.NewTicker(tick)
	defer seconds.Stop()
	h.asks = time.NewTicker(tick)
	defer h.asks.Stop()
	h.setLimit(h.cfg.Limit)
	for {
		select {
		case <-ctx.Done():
			return nil
		case it := <-h.queue:
			if it.run() {
				h.cfg.Beat()
			}
		case <-h.asks.C:
			h.try(func() {})
		case <-seconds.C:
			h.try(h.everySecond)
		}
	}
}

// SetLimit says within what time the loop must beat from now on; 0: nobody
// counts. When it has returned, a beat lies at most a quarter of the limit ahead:
// arm whatever counts after it.
func (h *Hub) SetLimit(ctx context.Context, limit time.Duration) error {
	return h.ask(ctx, func() { h.setLimit(limit) })
}

func (h *Hub) setLimit(limit time.Duration) {
	if every := limit / 4; every > 0 {
		h.asks.Reset(every)
	} else {
		h.asks.Stop()
	}
}

func (h *Hub) everySecond() {
	h.publish()
	h.checkIdle()
}

// Do runs f on the loop and waits until it has returned, ctx ends or the hub
// stops. An f that does not return stops the loop and its beats: that is what
// fault injection wants.
func (h *Hub) Do(ctx context.Context, f func()) error {
	it := newItem(f)
	if err := h.put(ctx, it); err != nil {
		return err
	}
	select {
	case <-it.done:
		return nil
	case <-ctx.Done():
		it.abandon()
		return ctx.Err()
	case <-h.done:
		return h.settle(it, ErrStopped)
	}
}

// Snapshot answers the state of every session, in the order of their ids.
func (h *Hub) Snapshot(ctx context.Context) ([]SessionState, error) {
	var states []SessionState
	err := h.ask(ctx, func() { states = h.states() })
	return states, err
}

// Viewers answers how many viewers are there.
func (h *Hub) Viewers() int { return int(h.viewers.Load()) }
