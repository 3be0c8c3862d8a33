package hub

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Rule: a viewer begins with a whole frame; changes before it are not for it.
func TestViewerBeginsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		m, v := newMemFrames(), &memViewer{}
		h.attachMem(t, "1", m, none)
		subscribe(t, h, v)
		m.show(part)
		m.show(geometry.Bounds())
		m.show(part)
		synctest.Wait()
		if got := v.seqs(); !slices.Equal(got, []uint32{2, 3}) {
			t.Errorf("updates %v", got)
		}
	})
}

// Rule: a screen that does not change is shown to whoever joins, by a refresh.
func TestStaticScreenIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		m, v := newMemFrames(), &memViewer{}
		h.attachMem(t, "1", m, func() { m.show(geometry.Bounds()) })
		time.Sleep(time.Minute)
		subscribe(t, h, v)
		synctest.Wait()
		if got := v.seqs(); !slices.Equal(got, []uint32{1}) {
			t.Errorf("updates %v", got)
		}
		time.Sleep(time.Minute)
		if got := v.seqs(); len(got) != 0 {
			t.Errorf("refreshed without need: %v", got)
		}
	})
}

// Rule: who could not take an update gets no more of that session until it says
// that its queue has drained; then a refresh, and it goes on. Nobody else waits.
func TestStaleViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		m, slow, quick := newMemFrames(), &memViewer{}, &memViewer{}
		var refreshes counter
		h.attachMem(t, "1", m, func() { refreshes.call(); m.show(geometry.Bounds()) })
		m.show(geometry.Bounds())
		sub := subscribe(t, h, slow)
		subscribe(t, h, quick)
		time.Sleep(time.Second)
		synctest.Wait()
		slow.seqs()
		quick.seqs()
		before, seq, offered := refreshes.count(), m.last(), slow.offers()

		slow.setFull(true)
		for range 5 {
			m.show(part)
		}
		time.Sleep(time.Minute)
		if got := quick.seqs(); !slices.Equal(got, []uint32{seq + 1, seq + 2, seq + 3, seq + 4, seq + 5}) {
			t.Errorf("the quick viewer got %v", got)
		}
		if slow.offers() != offered+1 || refreshes.count() != before {
			t.Errorf("blocked: %d offers, %d refreshes", slow.offers()-offered, refreshes.count()-before)
		}
		slow.setFull(false)
		m.show(part)
		synctest.Wait()
		if got := slow.seqs(); len(got) != 0 {
			t.Errorf("stale, and got %v", got)
		}
		sub.Drained("1")
		synctest.Wait()
		m.show(part)
		synctest.Wait()
		if got := slow.seqs(); !slices.Equal(got, []uint32{seq + 7, seq + 8}) {
			t.Errorf("after it drained it got %v", got)
		}
		if n := refreshes.count() - before; n != 1 {
			t.Errorf("%d refreshes", n)
		}
		sub.Drained("1")
		sub.Drained("no such session")
		time.Sleep(time.Minute)
		if n := refreshes.count() - before; n != 1 {
			t.Errorf("%d refreshes for a viewer that is current", n)
		}
	})
}

// Rule: an agent is asked for one whole frame at a time, and ever more rarely
// while it sends none.
func TestRefreshIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		m := newMemFrames()
		var refreshes counter
		h.attachMem(t, "1", m, refreshes.call)
		for range 5 {
			subscribe(t, h, &memViewer{})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		// 0.1 s after the attach, then pauses of 0.1, 0.2, 0.4 s.
		if n := refreshes.count(); n != 4 {
			t.Errorf("%d refreshes in the first second", n)
		}
		time.Sleep(time.Minute)
		if n := refreshes.count(); n < 30 || n > 36 {
			t.Errorf("%d refreshes in a minute", n)
		}
	})
}

// Rule: a refresh that hangs is alone with it: one call, frames flow, the loop
// goes on, Run ends.
func TestRefreshHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		m, v := newMemFrames(), &memViewer{}
		refreshes := counter{block: make(chan struct{})}
		h.attachMem(t, "1", m, refreshes.call)
		time.Sleep(time.Second)
		for range 4 {
			subscribe(t, h, &memViewer{})
		}
		subscribe(t, h, v)
		time.Sleep(time.Minute)
		m.show(geometry.Bounds())
		synctest.Wait()
		if n := refreshes.count(); n != 1 || len(v.seqs()) != 1 {
			t.Errorf("%d refreshes", n)
		}
		stop()
		close(refreshes.block)
		synctest.Wait()
		if refreshes.twice {
			t.Error("two refreshes at a time")
		}
		m.check(t)
	})
}

// Rule: viewers learn of a session before its first update, of its size, of its
// end, and hear figures once a second.
func TestViewersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		v := &memViewer{}
		sub := subscribe(t, h, v)
		m := newMemFrames()
		detach := h.attachMem(t, "1", m, none)
		m.show(geometry.Bounds())
		synctest.Wait()
		detach()
		want := []string{"", "1 0x0", "1 8x4", ""}
		if got := told(v); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		before := len(told(v))
		time.Sleep(10*time.Second + time.Millisecond)
		if n := len(told(v)) - before; n != 10 {
			t.Errorf("told %d times in ten seconds", n)
		}
		sub.Cancel()
		sub.Cancel()
	})
}

func told(v *memViewer) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var l []string
	for _, states := range v.states {
		var words []string
		for _, s := range states {
			words = append(words, s.ID, size(s))
		}
		l = append(l, strings.Join(words, " "))
	}
	return l
}

func TestStandingString(t *testing.T) {
	for s := stale; s <= current; s++ {
		if strings.Contains(s.String(), "(") {
			t.Errorf("standing %d has no name", s)
		}
	}
}
