package hub

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/surface"
)

// A spout has a frame, in which nothing has changed, whenever it is asked. It
// counts them.
type spout struct{ frames atomic.Uint32 }

func (s *spout) Next(ctx context.Context) (surface.Frame, error) {
	return surface.Frame{Seq: s.frames.Add(1), Geometry: geometry}, ctx.Err()
}

func (s *spout) Close() error { return nil }

// Rule: of a session that always has a frame, no more are taken than one each
// four milliseconds; as many as there are slots at once, at the beginning and
// again after a pause; and it ends at once.
func TestFastAgentIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		s := &spout{}
		detach, err := h.stream(t.Context(), "1", s, func(surface.Frame) error { return nil }, none)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := s.frames.Load(); n != surface.Slots {
			t.Errorf("%d frames at once", n)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := s.frames.Load(); n != surface.Slots+2500 {
			t.Errorf("%d frames in ten seconds", n)
		}
		began := time.Now()
		detach()
		if d := time.Since(began); d != 0 {
			t.Errorf("it ended after %v", d)
		}
	})
}

// Rule: frames that come as a screen shows them, and a few at once after a
// pause, are taken when they come.
func TestHonestAgentIsNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		m := newMemFrames()
		h.attachMem(t, "1", m, none)
		shown := 0
		for _, gap := range []time.Duration{time.Second / 60, time.Second / 120, time.Second / 240, time.Second} {
			for range 100 {
				m.show(part)
				shown++
				synctest.Wait()
				if n := m.count(); n != shown {
					t.Fatalf("%v: %d of %d frames were taken", gap, n, shown)
				}
				time.Sleep(gap)
			}
		}
		for range surface.Slots {
			m.show(part)
		}
		synctest.Wait()
		if n := m.count(); n != shown+surface.Slots {
			t.Errorf("%d of %d at once", n-shown, surface.Slots)
		}
		m.show(part)
		synctest.Wait()
		if n := m.count(); n != shown+surface.Slots {
			t.Error("one more at once")
		}
	})
}
