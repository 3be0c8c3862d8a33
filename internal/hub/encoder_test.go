package hub

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/surface"

	"go.uber.org/goleak"
)

// takeEncoders takes all encoders of h, as sessions that encode would.
func takeEncoders(h *Hub) (giveBack func()) {
	var all []*encoder
	for range cap(h.encoders) {
		all = append(all, <-h.encoders)
	}
	return func() {
		for _, e := range all {
			h.encoders <- e
		}
	}
}

// Rule: there is one encoder fewer than processors, and at least one.
func TestNumberOfEncoders(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for processors, want := range map[int]int{1: 1, 4: 3} {
		runtime.GOMAXPROCS(processors)
		if n := cap(New(Config{}).encoders); n != want {
			t.Errorf("%d encoders for %d processors", n, processors)
		}
	}
}

// Rule: while all encoders are at work, frames that nobody wants are taken and
// given back, and sessions come and go; a frame that is wanted waits, with its
// session's later ones, and is delivered then.
func TestUnwantedFramesWaitForNoEncoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		giveBack := takeEncoders(h)
		wanted, unwanted, v := newMemFrames(), newMemFrames(), &memViewer{}
		h.attachMem(t, "1", wanted, none)
		h.attachMem(t, "2", unwanted, none)
		subscribe(t, h, v)
		wanted.show(geometry.Bounds())
		wanted.show(part)
		for range 50 {
			unwanted.show(part) // no use before a whole frame
		}
		time.Sleep(50 * frameGap)
		synctest.Wait()
		if wanted.count() != 0 || unwanted.count() != 50 || v.offers() != 0 {
			t.Errorf("%d and %d frames released, %d offers", wanted.count(), unwanted.count(), v.offers())
		}
		third := newMemFrames()
		h.attachMem(t, "3", third, none)()
		third.check(t)

		giveBack()
		synctest.Wait()
		if got := v.seqs(); !slices.Equal(got, []uint32{1, 2}) || wanted.count() != 2 {
			t.Errorf("updates %v, %d released", got, wanted.count())
		}
	})
}

// Rule: a session that ends while it waits for an encoder gives its frame back.
func TestEndWhileWaitingForEncoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer takeEncoders(h)()
		m := newMemFrames()
		detach := h.attachMem(t, "1", m, none)
		subscribe(t, h, &memViewer{})
		m.show(geometry.Bounds())
		synctest.Wait()
		detach()
		m.check(t)
		other := newMemFrames()
		h.attachMem(t, "2", other, none)
		other.show(geometry.Bounds())
		synctest.Wait()
		stop()
		other.check(t)
	})
}

// Rule: sessions that always have a frame starve none: another one's frame is
// delivered while they go on, through a single encoder.
func TestNoSessionStarves(t *testing.T) {
	defer goleak.VerifyNone(t)
	h, stop := runHub(t, Config{})
	defer stop()
	h.encoders = newEncoders(1)
	v := seer{"3", make(chan struct{}, 100)}
	subscribe(t, h, v)
	for _, id := range []string{"1", "2"} {
		if _, err := h.stream(t.Context(), id, &flood{}, func(surface.Frame) error { return nil }, none); err != nil {
			t.Fatal(err)
		}
	}
	quiet := newMemFrames()
	h.attachMem(t, "3", quiet, none)
	for range 20 {
		quiet.show(geometry.Bounds())
		<-v.seen
	}
}

// A flood has a frame whenever it is asked.
type flood struct{ seq uint32 }

func (f *flood) Next(ctx context.Context) (surface.Frame, error) {
	f.seq++
	return surface.Frame{Seq: f.seq, Geometry: geometry, Dirty: surface.RegionOf(geometry.Bounds()), Pix: make([]byte, geometry.Size())}, ctx.Err()
}

func (f *flood) Close() error { return nil }

// A seer tells of each update of one session.
type seer struct {
	id   string
	seen chan struct{}
}

func (s seer) Offer(u Update) bool {
	if u.Session == s.id {
		s.seen <- struct{}{}
	}
	return true
}

func (s seer) Sessions([]SessionState) {}

// Rule: encoders keep no buffers once the last viewer has gone.
func TestEncodersAreRelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		m := newMemFrames()
		h.attachMem(t, "1", m, none)
		sub := subscribe(t, h, &memViewer{})
		m.show(geometry.Bounds())
		synctest.Wait()
		sub.Cancel()
		for range cap(h.encoders) {
			if e := <-h.encoders; e.packed != nil || e.squeezed != nil {
				t.Errorf("%d bytes are kept", cap(e.packed)+cap(e.squeezed))
			}
		}
	})
}
