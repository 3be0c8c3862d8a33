package hub

import (
	"context"
	"errors"
	"sync"
	"testing"

	"portward/internal/surface"
)

var errEnd = errors.New("the agent has gone")

// memFrames is a session's frames in memory. It counts what is given back.
type memFrames struct {
	frames chan surface.Frame

	mu       sync.Mutex
	seq      uint32
	taken    map[uint32]int
	released map[uint32]int
	closed   int
}

func newMemFrames() *memFrames {
	return &memFrames{frames: make(chan surface.Frame, 100), taken: map[uint32]int{}, released: map[uint32]int{}}
}

func (m *memFrames) Next(ctx context.Context) (surface.Frame, error) {
	select {
	case f, ok := <-m.frames:
		if !ok {
			return surface.Frame{}, errEnd
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.taken[f.Seq]++
		return f, nil
	case <-ctx.Done():
		return surface.Frame{}, ctx.Err()
	}
}

func (m *memFrames) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed++
	return nil
}

func (m *memFrames) release(f surface.Frame) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.released[f.Seq]++
	return nil
}

var geometry = surface.Geometry{Width: 8, Height: 4, Stride: 40, Format: surface.FormatBGRX}

// show makes a frame in which dirty has changed.
func (m *memFrames) show(dirty surface.Rect) {
	m.put(surface.Frame{Geometry: geometry, Dirty: surface.RegionOf(dirty), Pix: make([]byte, geometry.Size())})
}

func (m *memFrames) put(f surface.Frame) {
	m.mu.Lock()
	m.seq++
	f.Seq = m.seq
	m.mu.Unlock()
	m.frames <- f
}

// check says what is not as promised: every frame taken is given back once, and
// the frames are closed once.
func (m *memFrames) check(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for seq := range m.taken {
		if m.taken[seq] != 1 || m.released[seq] != 1 {
			t.Errorf("frame %d was taken %d times and released %d times", seq, m.taken[seq], m.released[seq])
		}
	}
	if len(m.released) != len(m.taken) {
		t.Errorf("%d frames taken, %d released", len(m.taken), len(m.released))
	}
	if m.closed != 1 {
		t.Errorf("closed %d times", m.closed)
	}
}

// last answers the number of the newest frame.
func (m *memFrames) last() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seq
}

func (m *memFrames) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.released)
}

var part = surface.Rect{X: 1, Y: 1, W: 3, H: 2}

// memViewer takes updates while it has room.
type memViewer struct {
	mu      sync.Mutex
	full    bool
	updates []Update
	offered int
	states  [][]SessionState
}

func (v *memViewer) Offer(u Update) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.offered++
	if v.full {
		return false
	}
	v.updates = append(v.updates, u)
	return true
}

func (v *memViewer) Sessions(states []SessionState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.states = append(v.states, states)
}

func (v *memViewer) setFull(full bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.full = full
}

// offers answers how many updates it was offered.
func (v *memViewer) offers() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.offered
}

// seqs answers the sequence numbers of what it took, and forgets them.
func (v *memViewer) seqs() []uint32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	var l []uint32
	for _, u := range v.updates {
		l = append(l, u.Seq)
	}
	v.updates = nil
	return l
}

// counter counts calls, of which only one may be under way.
type counter struct {
	mu    sync.Mutex
	calls int
	inUse bool
	twice bool
	block chan struct{} // if not nil, calls wait for it
}

func (c *counter) call() {
	c.mu.Lock()
	c.calls++
	c.twice = c.twice || c.inUse
	c.inUse = true
	block := c.block
	c.mu.Unlock()
	if block != nil {
		<-block
	}
	c.mu.Lock()
	c.inUse = false
	c.mu.Unlock()
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// runHub runs a hub until stop.
func runHub(t *testing.T, cfg Config) (h *Hub, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if cfg.Log == nil {
		cfg.Log = func(string, ...any) {}
	}
	h = New(cfg)
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	var once sync.Once
	return h, func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

func (h *Hub) attachMem(t *testing.T, id string, m *memFrames, refresh func()) (detach func()) {
	t.Helper()
	detach, err := h.stream(context.Background(), id, m, m.release, refresh)
	if err != nil {
		t.Fatal(err)
	}
	return detach
}

func subscribe(t *testing.T, h *Hub, v Viewer) *Subscription {
	t.Helper()
	s, err := h.Subscribe(context.Background(), v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
