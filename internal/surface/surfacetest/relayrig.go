package surfacetest

import (
	"context"
	"os"
	"sync/atomic"
	"testing"

	"portward/internal/surface"
	"portward/internal/wire"
)

// A relayRig is one relay on its way to a consumer, and what it relays.
type relayRig struct {
	*rig
	relay    *surface.Relay
	drawings []*drawing
	sink     *surface.Sink
}

// A drawing counts how often it is lent and released.
type drawing struct {
	Drawing
	lent, released atomic.Int32
}

func newRelayRig(t *testing.T, w Way) *relayRig {
	t.Helper()
	checkLeaks(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	r := &relayRig{rig: &rig{t: t, ctx: ctx, way: w}}
	for range surface.MaxSlots + 1 {
		r.drawings = append(r.drawings, &drawing{Drawing: w.Draw(t, small)})
	}
	relay, err := w.Platform.NewRelay(small)
	if err != nil {
		t.Fatal(err)
	}
	r.relay = relay
	t.Cleanup(func() {
		relay.Close()
		for i, d := range r.drawings {
			if lent, released := d.lent.Load(), d.released.Load(); lent != released {
				t.Errorf("surface %d was lent %d times and released %d times", i, lent, released)
			}
		}
	})
	return r
}

func (d *drawing) lend() surface.Lent {
	d.lent.Add(1)
	return d.Lend(func() { d.released.Add(1) })
}

// know makes surfaces known, without a picture.
func (r *relayRig) know(which ...int) {
	r.t.Helper()
	for _, i := range which {
		l := r.drawings[i].lend()
		if err := r.relay.Add(l); err != nil {
			r.t.Fatal(err)
		}
		if r.sink != nil {
			if err := r.relay.Tell(r.tell); err != nil {
				r.t.Fatal(err)
			}
		}
		l.Release()
	}
}

// tell is what an agent does with a message.
func (r *relayRig) tell(h wire.Handle) error {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer f.Close()
	theirs, other := r.way.Pass(r.t, []wire.Handle{h}, f)
	other.Close()
	return r.sink.Add(theirs[0])
}

// attach makes a channel and its consumer.
func (r *relayRig) attach(a *surface.Account) {
	r.t.Helper()
	peer, err := r.relay.Connect()
	if err != nil {
		r.t.Fatal(err)
	}
	surfaces, frames := r.way.Pass(r.t, r.relay.Surfaces(), peer)
	peer.Close()
	s, err := r.way.Platform.Open(r.relay.Geometry(), surfaces, frames, a)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	r.sink = s
}

// try relays a picture that shows mark.
func (r *relayRig) try(i int, mark uint32) error {
	d := r.drawings[i]
	d.Paint(mark)
	l := d.lend()
	err := r.relay.Add(l)
	if err == nil && r.sink != nil {
		err = r.relay.Tell(r.tell)
	}
	if err != nil {
		l.Release()
		return err
	}
	return r.relay.Submit(l, surface.RegionOf(small.Bounds()))
}

// show is try, when what was released is heard of.
func (r *relayRig) show(i int, mark uint32) {
	r.t.Helper()
	d := r.drawings[i]
	until(r.t, "surface is not out", func() bool { return d.lent.Load() == d.released.Load() })
	if err := r.relay.Room(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	if err := r.try(i, mark); err != nil {
		r.t.Fatal(err)
	}
}

// see answers the next frame, which must show mark.
func (r *relayRig) see(want uint32) surface.Frame {
	r.t.Helper()
	f := r.next(r.sink)
	if got := mark(f); got != want || f.Dirty != surface.RegionOf(small.Bounds()) {
		r.t.Fatalf("frame %d shows %d, not %d; dirty %v", f.Seq, got, want, f.Dirty)
	}
	return f
}

func (r *relayRig) lost() {
	r.t.Helper()
	select {
	case <-r.relay.Lost():
	case <-r.ctx.Done():
		r.t.Fatal("the producer never learned that its consumer is gone")
	}
}

// released waits until so many pictures came back in all.
func (r *relayRig) released(want int32) {
	r.t.Helper()
	until(r.t, "pictures released", func() bool {
		n := int32(0)
		for _, d := range r.drawings {
			n += d.released.Load()
		}
		if n > want {
			r.t.Fatalf("%d pictures released, not %d", n, want)
		}
		return n == want
	})
}
