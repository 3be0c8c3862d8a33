package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func size(s SessionState) string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// Rule: an idle loop beats four times within its limit.
func TestIdleLoopBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats atomic.Int64
		_, stop := runHub(t, Config{Beat: func() { beats.Add(1) }, Limit: 400 * time.Millisecond})
		defer stop()
		time.Sleep(10*time.Second + time.Millisecond)
		if n := beats.Load(); n < 100 || n > 111 { // 100 and one a second
			t.Errorf("%d beats in 100 quarters", n)
		}
	})
}

// Rule: the limit may be learnt later, and change.
func TestSetLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats atomic.Int64
		h, stop := runHub(t, Config{Beat: func() { beats.Add(1) }})
		defer stop()
		for _, c := range []struct{ limit, every time.Duration }{
			{400 * time.Millisecond, 100 * time.Millisecond},
			{100 * time.Millisecond, 25 * time.Millisecond},
			{0, time.Second}, // what each second brings anyway
		} {
			if err := h.SetLimit(t.Context(), c.limit); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			before := beats.Load()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			least := int64(10 * time.Second / c.every)
			if n := beats.Load() - before; n < least || n > least+11 {
				t.Errorf("limit %v: %d beats in ten seconds", c.limit, n)
			}
		}
	})
}

// Rule: a loop that stands does not beat, however many tickers tick, and no frame
// goes through it.
func TestStandingLoopDoesNotBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats atomic.Int64
		h, stop := runHub(t, Config{Beat: func() { beats.Add(1) }, Limit: time.Second})
		defer stop()
		m := newMemFrames()
		h.attachMem(t, "1", m, none)
		subscribe(t, h, &memViewer{})
		stand := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Do(ctx, func() { <-stand }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do: %v", err)
		}
		before, through := beats.Load(), m.count()
		m.show(geometry.Bounds())
		time.Sleep(time.Hour)
		if n := beats.Load() - before; n != 0 {
			t.Errorf("%d beats of a loop that stands", n)
		}
		if m.count() != through {
			t.Error("a frame went through a loop that stands")
		}
		close(stand)
		synctest.Wait()
		if beats.Load() == before || m.count() == through {
			t.Error("the loop does not go on")
		}
	})
}

// Rule: work given up before the loop took it is neither done nor counts as a beat.
func TestAbandonedWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats, done atomic.Int64
		h, stop := runHub(t, Config{Beat: func() { beats.Add(1) }})
		defer stop()
		stand := make(chan struct{})
		go func() { _ = h.Do(context.Background(), func() { <-stand }) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 10 {
			_ = h.Do(ctx, func() { done.Add(1) })
		}
		close(stand)
		synctest.Wait()
		if beats.Load() != 1 || done.Load() != 0 {
			t.Errorf("%d beats, %d done", beats.Load(), done.Load())
		}
	})
}

// Rule: Idle counts from the start and from the last viewer's leave; a viewer
// keeps it from happening.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		const d = 10 * time.Second
		closed := func(ch <-chan struct{}) bool {
			synctest.Wait()
			select {
			case <-ch:
				return true
			default:
				return false
			}
		}
		never, first := h.Idle(0), h.Idle(d)
		time.Sleep(d - time.Second)
		if closed(first) {
			t.Error("idle too early")
		}
		sub := subscribe(t, h, &memViewer{})
		time.Sleep(time.Hour)
		if closed(first) {
			t.Error("idle with a viewer")
		}
		sub.Cancel()
		time.Sleep(d - time.Second)
		if closed(first) {
			t.Error("idle too early after the viewer's leave")
		}
		time.Sleep(2 * time.Second)
		if !closed(first) {
			t.Error("not idle")
		}
		if closed(never) {
			t.Error("0 is never")
		}
		time.Sleep(2 * time.Second)
		if again := h.Idle(d); func() bool { time.Sleep(time.Second); return !closed(again) }() {
			t.Error("not idle when asked again")
		}
	})
}

// Rule: the rate is what happened within the last second.
func TestRate(t *testing.T) {
	now := time.Unix(1000, 0)
	var r rate
	for range 25 {
		r.add(now)
		now = now.Add(40 * time.Millisecond)
	}
	if got := r.perSecond(now.Add(-time.Millisecond)); got != 25 {
		t.Errorf("%v a second, want 25", got)
	}
	if got := r.perSecond(now.Add(500 * time.Millisecond)); got < 10 || got > 13 {
		t.Errorf("%v half a second later", got)
	}
	if got := r.perSecond(now.Add(time.Hour)); got != 0 {
		t.Errorf("%v an hour later", got)
	}
	r.add(now.Add(-time.Hour)) // the clock was set back
	if got := r.perSecond(now.Add(time.Hour)); got != 1 {
		t.Errorf("%v after the clock was set back", got)
	}
}
