package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/surface"

	"go.uber.org/goleak"
)

func none() {}

// Rule: every frame is given back exactly once, whatever happens to it.
func TestReleaseExactlyOnce(t *testing.T) {
	broken := surface.Frame{Geometry: geometry, Dirty: surface.RegionOf(part), Pix: make([]byte, 5)}
	cases := map[string]func(t *testing.T, h *Hub, m *memFrames, detach func()){
		"no viewer": func(t *testing.T, h *Hub, m *memFrames, detach func()) {
			m.show(part)
		},
		"viewer": func(t *testing.T, h *Hub, m *memFrames, detach func()) {
			subscribe(t, h, &memViewer{})
			m.show(geometry.Bounds())
			m.show(part)
		},
		"nothing changed": func(t *testing.T, h *Hub, m *memFrames, detach func()) {
			subscribe(t, h, &memViewer{})
			m.show(geometry.Bounds())
			m.show(surface.Rect{})
		},
		"a frame that cannot be": func(t *testing.T, h *Hub, m *memFrames, detach func()) {
			subscribe(t, h, &memViewer{})
			m.show(geometry.Bounds())
			m.put(broken)
		},
		"the agent goes": func(t *testing.T, h *Hub, m *memFrames, detach func()) {
			m.show(part)
			close(m.frames)
		},
		"detached twice": func(t *testing.T, h *Hub, m *memFrames, detach func()) {
			m.show(part)
			synctest.Wait()
			detach()
			detach()
		},
		"replaced": func(t *testing.T, h *Hub, m *memFrames, detach func()) {
			m.show(part)
			synctest.Wait()
			h.attachMem(t, "1", newMemFrames(), none)
		},
		"detached while the loop stands": func(t *testing.T, h *Hub, m *memFrames, detach func()) {
			stand := make(chan struct{})
			go func() { _ = h.Do(context.Background(), func() { <-stand }) }()
			synctest.Wait()
			m.show(part)
			synctest.Wait() // the frame waits for the loop
			go detach()
			synctest.Wait()
			if m.count() != 1 {
				t.Error("the frame waits for a loop that stands")
			}
			close(stand)
		},
	}
	for name, play := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, stop := runHub(t, Config{})
				m := newMemFrames()
				detach := h.attachMem(t, "1", m, none)
				play(t, h, m, detach)
				synctest.Wait()
				stop()
				if m.count() == 0 {
					t.Error("no frame went through")
				}
				m.check(t)
			})
		})
	}
}

// Rule: without a viewer no pixel is touched: a frame without any goes through.
func TestNoViewerNoPixel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		m := newMemFrames()
		h.attachMem(t, "1", m, none)
		for range 3 {
			m.put(surface.Frame{Geometry: geometry, Dirty: surface.RegionOf(geometry.Bounds())})
		}
		synctest.Wait()
		states, err := h.Snapshot(t.Context())
		if err != nil || len(states) != 1 || states[0].Frames != 3 || m.count() != 3 {
			t.Errorf("states %v, %v, %d released", states, err, m.count())
		}
	})
}

// Rule: a session that comes back keeps its index and its count, its old frames
// are closed, and its viewers wait for a whole frame.
func TestAttachReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		old, next, v := newMemFrames(), newMemFrames(), &memViewer{}
		h.attachMem(t, "1", old, none)
		subscribe(t, h, v)
		old.show(geometry.Bounds())
		synctest.Wait()
		before, _ := h.Snapshot(t.Context())
		v.seqs()

		detach := h.attachMem(t, "1", next, none)
		next.show(part)
		next.show(geometry.Bounds())
		next.show(part)
		synctest.Wait()
		if got := v.seqs(); !slices.Equal(got, []uint32{2, 3}) {
			t.Errorf("updates %v", got)
		}
		after, _ := h.Snapshot(t.Context())
		if after[0].Index != before[0].Index || after[0].Frames != 4 {
			t.Errorf("before %v, after %v", before, after)
		}
		old.check(t)
		detach()
		if gone, _ := h.Snapshot(t.Context()); len(gone) != 0 {
			t.Errorf("after detach: %v", gone)
		}
	})
}

// Rule: an Attach that gave up never takes effect, and the frames stay the
// caller's.
func TestAbandonedAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		stand := make(chan struct{})
		go func() { _ = h.Do(context.Background(), func() { <-stand }) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		m := newMemFrames()
		if _, err := h.Attach(ctx, "1", m, none); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Attach: %v", err)
		}
		close(stand)
		if states, err := h.Snapshot(t.Context()); err != nil || len(states) != 0 {
			t.Errorf("states %v, %v", states, err)
		}
		if m.closed != 0 {
			t.Error("the hub closed what it never had")
		}
	})
}

// Rule: after the end of Run every door answers ErrStopped, at once.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		stop()
		_, attach := h.Attach(t.Context(), "1", newMemFrames(), none)
		_, sub := h.Subscribe(t.Context(), &memViewer{})
		_, snap := h.Snapshot(t.Context())
		for _, err := range []error{attach, sub, snap, h.Do(t.Context(), none)} {
			if !errors.Is(err, ErrStopped) {
				t.Errorf("answer %v", err)
			}
		}
	})
}

// Rule: the number of sessions is bounded, an index names one session only, and
// comes back late.
func TestIndexes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		var last func()
		for i := range MaxSessions {
			last = h.attachMem(t, fmt.Sprint(i), newMemFrames(), none)
		}
		if _, err := h.Attach(t.Context(), "more", newMemFrames(), none); !errors.Is(err, ErrFull) {
			t.Errorf("one more: %v", err)
		}
		before, _ := h.Snapshot(t.Context())
		used := map[uint16]bool{}
		for _, s := range before {
			used[s.Index] = true
		}
		if len(used) != MaxSessions {
			t.Errorf("%d indexes for %d sessions", len(used), MaxSessions)
		}
		if before[2].ID != "2" || before[10].ID != "10" {
			t.Errorf("order: %v", before[:11])
		}
		last()
		h.attachMem(t, "more", newMemFrames(), none)
		after, _ := h.Snapshot(t.Context())
		if i := slices.IndexFunc(after, func(s SessionState) bool { return s.ID == "more" }); used[after[i].Index] {
			t.Errorf("index %d came back at once", after[i].Index)
		}
	})
}

// Rule: sessions and viewers that come and go in any order cost no frame, no
// goroutine and no viewer an update in the wrong order.
func TestComingAndGoing(t *testing.T) {
	defer goleak.VerifyNone(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h, stop := runHub(t, Config{Limit: time.Second})
	defer stop()
	var all sync.WaitGroup
	for s := range 3 {
		r := rand.New(rand.NewPCG(seed, uint64(s)))
		all.Go(func() {
			for range 20 {
				m := newMemFrames()
				detach := h.attachMem(t, fmt.Sprint(r.IntN(2)), m, none)
				for range r.IntN(40) {
					m.show([]surface.Rect{part, geometry.Bounds()}[r.IntN(2)])
				}
				if r.IntN(2) == 0 {
					close(m.frames)
				}
				detach()
				m.check(t)
			}
		})
	}
	for v := range 3 {
		r := rand.New(rand.NewPCG(seed, uint64(100+v)))
		all.Go(func() {
			for range 60 {
				viewer := &memViewer{full: r.IntN(3) == 0}
				sub := subscribe(t, h, viewer)
				_, _ = h.Snapshot(context.Background())
				sub.Drained("1")
				sub.Cancel()
				offered := viewer.offers()
				_, _ = h.Snapshot(context.Background())
				if viewer.offers() != offered {
					t.Error("a viewer was called after Cancel")
				}
			}
		})
	}
	all.Wait()
	if h.Viewers() != 0 {
		t.Errorf("%d viewers are left", h.Viewers())
	}
}
