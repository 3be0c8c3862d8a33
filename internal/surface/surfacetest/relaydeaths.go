package surfacetest

import (
	"testing"

	"portward/internal/surface"
)

func testRelayLoss(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0, 1, 2)
	r.attach(nil)
	r.show(0, 1)
	r.show(1, 2)
	r.show(2, 3)
	f := r.see(1)
	r.sink.Close()
	r.lost()
	r.released(6)
	f.Release()
	if err := r.relay.Room(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.wantErr("submit", r.try(0, 4), surface.ErrLost)
	r.released(7)
	r.attach(nil)
	r.show(0, 5)
	r.release(r.see(5))
	r.released(8)
}

func testRelayReplaced(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0, 1)
	r.attach(nil)
	r.show(0, 1)
	f := r.see(1)
	r.attach(nil)
	r.released(3)
	f.Release()
	r.show(1, 2)
	r.release(r.see(2))
	r.released(4)
}

func testRelayClose(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0, 1)
	r.attach(nil)
	r.show(0, 1)
	r.show(1, 2)
	r.relay.Close()
	r.released(4)
	r.wantErr("submit", r.relay.Submit(r.drawings[0].lend(), surface.Region{}), surface.ErrClosed)
	r.wantErr("add", r.relay.Add(r.drawings[3].Lend(nil)), surface.ErrClosed)
	r.released(5)
}

func testRelayProducerDies(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0)
	r.attach(nil)
	r.show(0, 42)
	f := r.see(42)
	r.relay.Close()
	_, err := r.sink.Next(r.ctx)
	r.wantErr("next", err, surface.ErrLost)
	if mark(f) != 42 {
		t.Fatal("pixels changed")
	}
	r.wantErr("release", f.Release(), surface.ErrLost)
}

func testRelayCloseTwice(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0, 1, 2)
	r.attach(nil)
	for i := range surface.Slots {
		r.show(i, 1)
	}
	got := make(chan error)
	go func() { got <- r.relay.Room(r.ctx) }()
	if err := r.relay.Close(); err != nil {
		t.Fatal(err)
	}
	r.wantErr("room", <-got, surface.ErrClosed)
	r.wantErr("again", r.relay.Close(), surface.ErrClosed)
	_, err := r.relay.Connect()
	r.wantErr("connect", err, surface.ErrClosed)
}

func testAddAfterTheEnd(t *testing.T, w Way) {
	r := newRelayRig(t, w)
	r.know(0)
	a := surface.NewAccount(ample)
	r.attach(a)
	r.sink.Close()
	h := r.drawings[1].Lend(nil).Handle()
	defer h.Close()
	r.wantErr("add", r.tell(h), surface.ErrClosed)
	if n, b := a.Used(); n != 0 || b != 0 {
		t.Fatalf("%d chains, %d bytes left", n, b)
	}
}
