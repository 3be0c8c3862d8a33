package surfacetest

import (
	"context"
	"testing"

	"portward/internal/surface"
)

// Test holds a Chain and a Sink, joined by w, against the rules they promise.
func Test(t *testing.T, w Way) {
	for _, c := range []struct {
		rule string
		test func(*testing.T, Way)
	}{
		{"frames arrive in order with their pixels", testOrder},
		{"a frame that changed nothing is a frame", testEmpty},
		{"all slots out: the producer waits for a release", testBackPressure},
		{"a release is counted and reported once", testRelease},
		{"a buffer that was not acquired is not submitted", testForeign},
		{"a returned buffer costs no frame", testReturn},
		{"a rectangle outside is refused at the source", testOutside},
		{"without a channel there are slots but no frames", testUnconnected},
		{"consumer dies: producer learns, reconnects, goes on", testConsumerDies},
		{"producer dies: frames stay readable", testProducerDies},
		{"a new channel replaces the old", testReplaced},
		{"a waiting producer is served by the new channel", testReplacedWhileWaiting},
		{"pixels stay mapped until released, closed or not", testLateRelease},
		{"closing wakes the consumer", testCloseWakes},
		{"closing wakes the producer", testCloseWakesProducer},
		{"a context ends the waiting only", testContext},
		{"a held buffer outlives its chain", testHeld},
		{"everything closes once", testCloseTwice},
		{"a new geometry is a new chain beside the old", testGeometry},
		{"chains are limited for each peer", testChains},
		{"bytes are limited for each peer", testBytes},
		{"frames, deaths and replacements at random leave nothing", testKiller},
	} {
		t.Run(c.rule, func(t *testing.T) { c.test(t, w) })
	}
}

func testOrder(t *testing.T, w Way) {
	r := newRig(t, w, small)
	s := r.connect(nil)
	for i := range 50 {
		want := surface.Rect{X: i % 8, Y: i % 5, W: 1 + i%7, H: 1 + i%3}
		r.submit(uint32(i), want)
		f := r.next(s)
		if f.Seq != uint32(i+1) || mark(f) != uint32(i) || f.Dirty != surface.RegionOf(want) {
			t.Fatalf("frame %d: seq %d, mark %d, dirty %v", i, f.Seq, mark(f), f.Dirty)
		}
		if f.Geometry != small || len(f.Pix) != small.Size() {
			t.Fatalf("frame has %v and %d bytes", f.Geometry, len(f.Pix))
		}
		r.release(f)
	}
}

func testEmpty(t *testing.T, w Way) {
	r := newRig(t, w, small)
	s := r.connect(nil)
	r.submit(1, surface.Rect{X: 5, Y: 5, W: 0, H: 7})
	if f := r.next(s); !f.Dirty.Empty() {
		t.Fatalf("dirty %v", f.Dirty)
	}
}

func testBackPressure(t *testing.T, w Way) {
	r := newRig(t, w, small)
	s := r.connect(nil)
	var frames []surface.Frame
	for i := range surface.Slots {
		r.submit(uint32(i), small.Bounds())
		frames = append(frames, r.next(s))
	}
	if _, ok := r.chain.TryAcquire(); ok {
		t.Fatal("a slot was free while all were out")
	}
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	_, err := r.chain.Acquire(ctx)
	r.wantErr("acquire with all out", err, context.Canceled)

	r.release(frames[1])
	b, err := r.chain.Acquire(r.ctx)
	if err != nil || b.Slot != 1 {
		t.Fatalf("got %v, %v instead of the slot that was released", b, err)
	}
	defer r.chain.Return(b)
	if m := mark(frames[0]); m != 0 {
		t.Fatalf("a frame that is out now shows %d", m)
	}
}

func testRelease(t *testing.T, w Way) {
	r := newRig(t, w, small)
	reported := make(chan uint32, 10)
	r.chain.OnRelease = func(seq uint32) { reported <- seq }
	s := r.connect(nil)
	r.submit(0, small.Bounds())
	r.submit(1, small.Bounds())
	a, b := r.next(s), r.next(s)
	r.release(b)
	r.release(a)
	if x, y := <-reported, <-reported; x != b.Seq || y != a.Seq {
		t.Fatalf("released %d, %d", x, y)
	}
	if a.Release() == nil || b.Release() == nil || (surface.Frame{}).Release() == nil {
		t.Fatal("released twice")
	}
	r.submit(2, small.Bounds())
	r.release(r.next(s))
	if x := <-reported; x != 3 || r.chain.Released() != 3 || len(reported) != 0 {
		t.Fatalf("reported %d, released %d", x, r.chain.Released())
	}
}

func testForeign(t *testing.T, w Way) {
	r := newRig(t, w, small)
	r.connect(nil)
	b, err := r.chain.Acquire(r.ctx) // a slot is in use until the message is gone that carried it
	if err != nil {
		t.Fatal(err)
	}
	if err := r.chain.Submit(b, surface.RegionOf(small.Bounds())); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*surface.Buffer{nil, b, {Slot: 1}, {Slot: -1}, {Slot: 9}, r.chain.Buffers()[2]} {
		if r.chain.Submit(b, surface.RegionOf(small.Bounds())) == nil || r.chain.Return(b) == nil {
			t.Fatalf("%+v was taken", b)
		}
	}
}

func testReturn(t *testing.T, w Way) {
	r := newRig(t, w, small)
	s := r.connect(nil)
	for range 10 {
		b, err := r.chain.Acquire(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.chain.Return(b); err != nil {
			t.Fatal(err)
		}
	}
	r.submit(7, small.Bounds())
	if f := r.next(s); f.Seq != 1 || mark(f) != 7 {
		t.Fatalf("seq %d, mark %d", f.Seq, mark(f))
	}
}

func testOutside(t *testing.T, w Way) {
	r := newRig(t, w, small)
	s := r.connect(nil)
	for _, bad := range []surface.Rect{{W: 65, H: 1}, {X: -1, W: 2, H: 2}, {X: 64, W: 1, H: 1}, {Y: 40, W: 1, H: 9}, {W: 1 << 40, H: 1 << 40}} {
		b, err := r.chain.Acquire(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if r.chain.Submit(b, surface.RegionOf(bad)) == nil {
			t.Fatalf("%v was taken", bad)
		}
	}
	r.submit(7, small.Bounds())
	r.release(r.next(s))
}

func testUnconnected(t *testing.T, w Way) {
	r := newRig(t, w, small)
	r.lost()
	for range 10 {
		b, err := r.chain.Acquire(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		r.wantErr("submit", r.chain.Submit(b, surface.RegionOf(small.Bounds())), surface.ErrLost)
	}
}

func testContext(t *testing.T, w Way) {
	r := newRig(t, w, small)
	s := r.connect(nil)
	for i := range 20 {
		ctx, cancel := context.WithCancel(r.ctx)
		if i%2 == 0 {
			cancel()
		} else {
			go cancel()
		}
		_, err := s.Next(ctx)
		r.wantErr("next", err, context.Canceled)
		cancel()
	}
	r.submit(1, small.Bounds())
	r.release(r.next(s))
}
