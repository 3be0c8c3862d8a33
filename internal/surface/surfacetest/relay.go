package surfacetest

import (
	"context"
	"errors"
	"os"
	"testing"

	"portward/internal/surface"
	"portward/internal/wire"
)

// A Drawing is a surface that somebody else made, as a Way draws one. It ends
// with its test.
type Drawing interface {
	// Paint writes mark into the first pixel.
	Paint(mark uint32)
	// Lend lends what was painted.
	Lend(release func()) surface.Lent
}

// TestRelay holds a Relay and a Sink, joined by w, against the rules they
// promise.
func TestRelay(t *testing.T, w Way) {
	for _, c := range []struct {
		rule string
		test func(*testing.T, Way)
	}{
		{"surfaces come one by one, and their frames with their pixels", testGrowth},
		{"a new channel carries all surfaces that are known", testRelayReconnect},
		{"a surface whose telling fails comes with the next channel", testRelayUntold},
		{"as many surfaces as a consumer takes, and no more", testRelayFull},
		{"at most so many frames are out; there is room after a release", testRoom},
		{"what is out is not sent again, nor what was not added", testRelayRefuses},
		{"a picture is released once: when it is given back", testRelayRelease},
		{"a picture is released once: when the consumer dies", testRelayLoss},
		{"a picture is released once: when the channel is replaced", testRelayReplaced},
		{"a picture is released once: when the relay is closed", testRelayClose},
		{"a frame outlives its relay", testRelayProducerDies},
		{"everything of a relay closes once, and wakes who waits", testRelayCloseTwice},
		{"a frame in a surface that was not told is a lie", testUnknownSlot},
		{"what is no surface, or known, or too much, is not added", testHostileAdd},
		{"each surface counts", testRelayAccount},
		{"nothing is added to a sink that ended", testAddAfterTheEnd},
		{"surfaces, frames and deaths at random leave nothing", testRelayRandom},
	} {
		t.Run(c.rule, func(t *testing.T) { c.test(t, w) })
	}
}

func testGrowth(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0)
	r.attach(nil)
	for n := range uint32(40) {
		i := int(n*n) % min(int(n/2)+1, surface.MaxSlots) // old and new ones in turns
		r.show(i, n)
		if f := r.see(n); f.Seq != n+1 {
			t.Fatalf("sequence %d", f.Seq)
		} else {
			r.release(f)
		}
		r.released(int32(n) + 2)
	}
	if n := len(r.relay.Surfaces()); n < 2 {
		t.Fatalf("%d surfaces are known", n)
	}
}

func testRelayReconnect(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(2, 0)
	r.attach(nil)
	r.know(5)
	r.show(5, 50)
	r.release(r.see(50))
	r.sink.Close()
	r.lost()
	r.attach(nil)
	told := 0
	for _, i := range []int{0, 5, 2} {
		r.drawings[i].Paint(uint32(i))
		l := r.drawings[i].lend()
		if err := errors.Join(r.relay.Add(l), r.relay.Tell(func(wire.Handle) error { told++; return nil })); err != nil {
			t.Fatal(err)
		}
		if err := r.relay.Submit(l, surface.RegionOf(small.Bounds())); err != nil {
			t.Fatal(err)
		}
		f := r.see(uint32(i))
		if f.Seq < 2 {
			t.Fatalf("sequence went on with %d", f.Seq)
		}
		r.release(f)
	}
	if told != 0 {
		t.Errorf("%d surfaces were told twice", told)
	}
	r.show(1, 10)
	r.release(r.see(10))
}

func testRelayUntold(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0)
	r.attach(nil)
	broken := errors.New("broken")
	l := r.drawings[1].lend()
	for range 2 {
		r.wantErr("add", errors.Join(r.relay.Add(l), r.relay.Tell(func(wire.Handle) error { return broken })), broken)
	}
	if err := r.relay.Submit(l, surface.Region{}); err == nil {
		t.Fatal("a surface that was not told was sent")
	}
	r.show(0, 1) // tells the other too: slots have an order
	r.release(r.see(1))
	r.attach(nil)
	r.show(1, 2)
	r.release(r.see(2))
}

func testRelayFull(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0)
	r.attach(nil)
	for i := range surface.MaxSlots {
		r.show(i, uint32(i))
		r.release(r.see(uint32(i)))
	}
	for range 2 {
		r.wantErr("one more", r.try(surface.MaxSlots, 99), surface.ErrFull)
	}
	r.show(3, 33)
	r.release(r.see(33))
}

func testRoom(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0, 1, 2, 3)
	r.attach(nil)
	var frames []surface.Frame
	for i := range surface.Slots {
		if err := r.relay.Room(r.ctx); err != nil {
			t.Fatal(err)
		}
		r.show(i, uint32(i))
		frames = append(frames, r.see(uint32(i)))
	}
	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	r.wantErr("room with all out", r.relay.Room(ended), context.Canceled)
	if r.try(3, 3) == nil {
		t.Fatal("one more than may be out")
	}
	got := make(chan error)
	go func() { got <- r.relay.Room(r.ctx) }()
	r.release(frames[1])
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	r.show(3, 33)
	r.see(33)
}

func testRelayRefuses(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	if err := r.relay.Submit(r.drawings[0].lend(), surface.Region{}); err == nil {
		t.Fatal("what was never added was sent")
	}
	r.know(0)
	r.wantErr("without a channel", r.try(0, 1), surface.ErrLost)
	r.attach(nil)
	if err := r.relay.Submit(r.drawings[1].lend(), surface.Region{}); err == nil {
		t.Fatal("what was never added was sent")
	}
	if err := r.relay.Submit(r.drawings[0].lend(), surface.RegionOf(surface.Rect{X: 60, W: 5, H: 1})); err == nil {
		t.Fatal("a rectangle outside was taken")
	}
	r.show(0, 7)
	if r.try(0, 7) == nil {
		t.Fatal("a surface that is out was sent again")
	}
	r.release(r.see(7))
	r.released(7)
}

func testRelayRelease(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	reported := make(chan uint32, 10)
	r.relay.OnRelease = func(seq uint32) { reported <- seq }
	r.know(0, 1)
	r.attach(nil)
	r.show(0, 1)
	r.show(1, 2)
	a, b := r.see(1), r.see(2)
	r.released(2)
	r.release(b)
	r.released(3)
	if r.drawings[1].released.Load() != 2 {
		t.Fatal("the wrong picture was released")
	}
	r.release(a)
	r.released(4)
	if a.Release() == nil {
		t.Fatal("released twice")
	}
	if x, y := <-reported, <-reported; x != 2 || y != 1 || r.relay.Released() != 2 {
		t.Fatalf("reported %d and %d, %d in all", x, y, r.relay.Released())
	}
}

func testUnknownSlot(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0)
	r.attach(nil)
	l := r.drawings[1].lend()
	if err := errors.Join(r.relay.Add(l), r.relay.Tell(func(wire.Handle) error { return nil })); err != nil {
		t.Fatal(err)
	}
	if err := r.relay.Submit(l, surface.Region{}); err != nil {
		t.Fatal(err)
	}
	_, err := r.sink.Next(r.ctx)
	r.wantErr("next", err, surface.ErrHostile)
	r.lost()
	r.released(2)
}

func testHostileAdd(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0)
	a := surface.NewAccount(ample)
	r.attach(a)
	r.show(1, 10)
	r.release(r.see(10))
	again := func(i int) wire.Handle { return r.drawings[i].Lend(nil).Handle() }
	tell := func(h wire.Handle) error {
		defer h.Close()
		return r.tell(h)
	}
	other := w.Draw(t, surface.Geometry{Width: 64, Height: 49, Stride: 64 * 4, Format: surface.FormatBGRX}).Lend(nil).Handle()
	for what, err := range map[string]error{
		"nothing":             r.sink.Add(wire.Handle{}),
		"a surface of nobody": r.sink.Add(wire.Handle{Kind: wire.HandleSurface}),
		"the first again":     tell(again(0)),
		"an added one again":  tell(again(1)),
		"another size":        tell(other),
		"a file": func() error {
			f, err := os.Open(os.DevNull)
			if err != nil {
				return err
			}
			return r.sink.Add(wire.Surface(f))
		}(),
	} {
		r.wantErr(what, err, surface.ErrHostile)
	}
	if n, b := a.Used(); n != 1 || b != int64(2*small.Size()) {
		t.Fatalf("account says %d chains, %d bytes", n, b)
	}
	for i := 2; i < surface.MaxSlots; i++ {
		r.show(i, uint32(i))
		r.release(r.see(uint32(i)))
	}
	r.wantErr("the ninth", tell(again(surface.MaxSlots)), surface.ErrHostile)
	r.show(1, 11)
	r.release(r.see(11))
}

func testRelayAccount(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0)
	a := surface.NewAccount(surface.Limits{Chains: 1, Bytes: int64(3*small.Size() - 1)})
	r.attach(a)
	r.know(1)
	r.show(1, 1)
	f := r.see(1)
	r.wantErr("too many bytes", r.try(2, 2), surface.ErrLimit)
	r.sink.Close()
	if n, b := a.Used(); n != 1 || b != int64(2*small.Size()) {
		t.Fatalf("account says %d chains, %d bytes", n, b)
	}
	f.Release()
	if n, b := a.Used(); n != 0 || b != 0 {
		t.Fatalf("%d chains, %d bytes left", n, b)
	}
}
