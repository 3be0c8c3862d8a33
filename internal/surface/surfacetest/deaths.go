package surfacetest

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"portward/internal/surface"
)

func testConsumerDies(t *testing.T, w Way) {
	r := newRig(t, w, small)
	var reported atomic.Uint64
	r.chain.OnRelease = func(uint32) { reported.Add(1) }
	s := r.connect(nil)
	for i := range surface.Slots {
		r.submit(uint32(i), small.Bounds())
	}
	r.next(s).Release()
	until(t, "release", func() bool { return r.chain.Released() == 1 })
	r.submit(3, small.Bounds())
	s.Close()
	r.lost()
	_, err := r.chain.Acquire(r.ctx)
	r.wantErr("acquire with all out and nobody there", err, surface.ErrLost)

	s = r.connect(nil)
	for i := range 10 {
		r.submit(uint32(i), small.Bounds())
		f := r.next(s)
		if want := uint32(surface.Slots + 2 + i); f.Seq != want {
			t.Fatalf("sequence went on with %d, not %d", f.Seq, want)
		}
		r.release(f)
	}
	until(t, "all real releases counted", func() bool { return r.chain.Released() == 11 && reported.Load() == 11 })
}

func testProducerDies(t *testing.T, w Way) {
	r := newRig(t, w, small)
	s := r.connect(nil)
	r.submit(42, small.Bounds())
	f := r.next(s)
	r.chain.Close()
	for range 2 {
		_, err := s.Next(r.ctx)
		r.wantErr("next", err, surface.ErrLost)
	}
	if mark(f) != 42 {
		t.Fatal("pixels changed")
	}
	r.wantErr("release", f.Release(), surface.ErrLost)
}

func testReplaced(t *testing.T, w Way) {
	r := newRig(t, w, small)
	old := r.connect(nil)
	for i := range surface.Slots {
		r.submit(uint32(i), small.Bounds())
	}
	f := r.next(old)
	lost := r.chain.Lost()
	s := r.connect(nil)
	select {
	case <-lost:
	default:
		t.Fatal("the channel before is not lost")
	}
	if err := f.Release(); err == nil {
		t.Fatal("released into a channel that is gone")
	}
	for i := range 2 * surface.Slots {
		r.submit(uint32(i), small.Bounds())
		f := r.next(s)
		if f.Seq != uint32(surface.Slots+1+i) {
			t.Fatalf("sequence %d", f.Seq)
		}
		r.release(f)
	}
	until(t, "releases", func() bool { return r.chain.Released() == 2*surface.Slots })
}

func testReplacedWhileWaiting(t *testing.T, w Way) {
	r := newRig(t, w, small)
	r.connect(nil)
	for i := range surface.Slots {
		r.submit(uint32(i), small.Bounds())
	}
	got := make(chan error)
	go func() {
		b, err := r.chain.Acquire(r.ctx)
		if err == nil {
			err = r.chain.Return(b)
		}
		got <- err
	}()
	r.connect(nil)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func testLateRelease(t *testing.T, w Way) {
	r := newRig(t, w, small)
	a := surface.NewAccount(ample)
	s := r.connect(a)
	r.submit(42, small.Bounds())
	f := r.next(s)
	s.Close()
	r.chain.Close()
	if mark(f) != 42 || slices.Max(f.Pix[4:]) != 0 {
		t.Fatal("pixels changed")
	}
	if n, _ := a.Used(); n != 1 {
		t.Fatal("memory that is still read counts for nothing")
	}
	f.Release()
	if n, b := a.Used(); n != 0 || b != 0 {
		t.Fatalf("%d chains, %d bytes left", n, b)
	}
}

func testCloseWakes(t *testing.T, w Way) {
	r := newRig(t, w, small)
	s := r.connect(nil)
	got := make(chan error)
	go func() {
		_, err := s.Next(r.ctx)
		got <- err
	}()
	s.Close()
	r.wantErr("next", <-got, surface.ErrClosed)
}

func testCloseWakesProducer(t *testing.T, w Way) {
	r := newRig(t, w, small)
	r.connect(nil)
	for i := range surface.Slots {
		r.submit(uint32(i), small.Bounds())
	}
	got := make(chan error)
	go func() {
		_, err := r.chain.Acquire(r.ctx)
		got <- err
	}()
	r.chain.Close()
	r.wantErr("acquire", <-got, surface.ErrClosed)
	if _, err := r.chain.Connect(); !errors.Is(err, surface.ErrClosed) {
		t.Fatalf("connect: %v", err)
	}
}

func testHeld(t *testing.T, w Way) {
	r := newRig(t, w, small)
	r.connect(nil)
	b, err := r.chain.Acquire(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	r.chain.Close()
	for i := range b.Pix {
		b.Pix[i] = byte(i)
	}
	r.wantErr("submit", r.chain.Submit(b, surface.RegionOf(small.Bounds())), surface.ErrClosed)
}

func testCloseTwice(t *testing.T, w Way) {
	r := newRig(t, w, small)
	s := r.connect(nil)
	if s.Close() != nil || r.chain.Close() != nil {
		t.Fatal("closing failed")
	}
	r.wantErr("sink", s.Close(), surface.ErrClosed)
	r.wantErr("chain", r.chain.Close(), surface.ErrClosed)
	_, err := s.Next(r.ctx)
	r.wantErr("next", err, surface.ErrClosed)
	_, err = r.chain.Acquire(r.ctx)
	r.wantErr("acquire", err, surface.ErrClosed)
}
