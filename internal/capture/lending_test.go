package capture

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"portward/internal/surface"
)

var drawnGeometry = surface.Geometry{Width: 8, Height: 4, Stride: 48, Format: surface.FormatBGRX}

// A drawing is a picture in a surface of that number.
type drawing struct {
	surface.Lent
	t        *testing.T
	id       uint64
	released bool
}

func (d *drawing) ID() uint64 { return d.id }

func (d *drawing) Release() {
	if d.released {
		d.t.Error("released twice")
	}
	d.released = true
}

func lendingOf(pictures ...*drawing) *lending {
	l := newLending()
	for _, p := range pictures {
		l.show(p, drawnGeometry, surface.Region{})
	}
	return l
}

// mustLend borrows the latest picture, which must be of that surface.
func (l *lending) mustLend(t *testing.T, id uint64, want surface.Rect) surface.Lent {
	t.Helper()
	p, fresh, err := l.Lend()
	if err != nil || p.ID() != id || fresh != surface.RegionOf(want) {
		t.Fatalf("lent %v, %v, %v, want surface %d, %v", p, fresh, err, id, want)
	}
	return p
}

// ready says whether Wait would answer now.
func (l *lending) ready(t *testing.T) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for { // a token of before is not the answer
		err := l.wait(ctx, nil, nil)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		select {
		case <-l.change.wake:
		default:
			return err == nil
		}
	}
}

// Rule: the latest picture is lent, with all that changed since one was; those
// that are not the latest are let go of at once.
func TestLendingOfTheLatest(t *testing.T) {
	a, b, c := &drawing{t: t, id: 1}, &drawing{t: t, id: 2}, &drawing{t: t, id: 3}
	l := lendingOf(a)
	if l.Geometry() != drawnGeometry || !l.ready(t) {
		t.Fatalf("a picture of %v is not there", l.Geometry())
	}
	l.mustLend(t, 1, drawnGeometry.Bounds()).Release()
	if l.ready(t) {
		t.Error("something is new")
	}
	l.show(b, drawnGeometry, surface.RegionOf(surface.Rect{X: 1, Y: 1, W: 2, H: 2}))
	l.show(c, drawnGeometry, surface.RegionOf(surface.Rect{X: 3, Y: 1, W: 9, H: 2}))
	if !a.released || !b.released || c.released {
		t.Error("the wrong pictures were let go of")
	}
	l.mustLend(t, 3, surface.Rect{X: 1, Y: 1, W: 7, H: 2}).Release()
	l.end(os.ErrClosed)
	if !c.released {
		t.Error("the last picture is still held")
	}
}

// Rule: what is lent is held until it comes back, whatever is drawn meanwhile,
// and let go of once.
func TestLendingHoldsWhatIsOut(t *testing.T) {
	a, b := &drawing{t: t, id: 1}, &drawing{t: t, id: 2}
	l := lendingOf(a)
	first := l.mustLend(t, 1, drawnGeometry.Bounds())
	l.show(b, drawnGeometry, surface.RegionOf(drawnGeometry.Bounds()))
	second := l.mustLend(t, 2, drawnGeometry.Bounds())
	if a.released {
		t.Fatal("a picture was let go of while it was out")
	}
	first.Release()
	first.Release()
	if !a.released {
		t.Error("a picture is still held")
	}
	l.end(ErrGone)
	if b.released {
		t.Fatal("a picture was let go of by the end, while it was out")
	}
	second.Release()
	if !b.released {
		t.Error("a picture is still held")
	}
}

// Rule: the latest picture is lent again, for somebody who needs all of it, but
// not while its surface is out.
func TestLendingAgain(t *testing.T) {
	a, again := &drawing{t: t, id: 1}, &drawing{t: t, id: 1}
	l := lendingOf(a)
	p := l.mustLend(t, 1, drawnGeometry.Bounds())
	l.Invalidate()
	if l.ready(t) {
		t.Fatal("it would be lent while it is out")
	}
	if _, _, err := l.Lend(); !errors.Is(err, os.ErrInvalid) {
		t.Fatalf("lent while it is out: %v", err)
	}
	l.show(again, drawnGeometry, surface.Region{}) // another picture, the same surface
	if l.ready(t) {
		t.Fatal("its surface would be lent while it is out")
	}
	got := make(chan error)
	go func() { got <- l.wait(context.Background(), nil, nil) }()
	p.Release()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	l.mustLend(t, 1, drawnGeometry.Bounds()).Release()
	l.end(os.ErrClosed)
}

// Rule: the first picture says what all are like; another layout is another
// source's.
func TestLendingOfAnotherLayout(t *testing.T) {
	a, b, c := &drawing{t: t, id: 1}, &drawing{t: t, id: 2}, &drawing{t: t, id: 3}
	l := lendingOf(a)
	other := drawnGeometry
	other.Stride += 16
	l.show(b, other, surface.Region{})
	l.show(c, drawnGeometry, surface.Region{})
	if !a.released || !b.released || !c.released {
		t.Error("a picture is still held")
	}
	if _, _, err := l.Lend(); !errors.Is(err, ErrGeometry) {
		t.Errorf("lend: %v", err)
	}
	if err := l.wait(context.Background(), nil, nil); !errors.Is(err, ErrGeometry) {
		t.Errorf("wait: %v", err)
	}
	if err := l.end(os.ErrClosed); !errors.Is(err, ErrGeometry) {
		t.Errorf("ended again: %v", err)
	}
}

// Rule: a source begins with its first picture, or with the reason why there is
// none, and wakes for both.
func TestLendingBegins(t *testing.T) {
	tired := errors.New("tired")
	ended, cancel := context.WithCancelCause(context.Background())
	cancel(tired)
	l := newLending()
	if err := l.begun(ended); err != tired {
		t.Errorf("without a picture: %v", err)
	}
	if _, _, err := l.Lend(); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("lent: %v", err)
	}
	l.Invalidate()
	got := make(chan error)
	go func() { got <- l.begun(context.Background()) }()
	l.show(&drawing{t: t, id: 1}, drawnGeometry, surface.Region{})
	if err := <-got; err != nil {
		t.Error(err)
	}
	l = newLending()
	go func() { got <- l.begun(context.Background()) }()
	l.end(ErrGone)
	if err := <-got; !errors.Is(err, ErrGone) {
		t.Errorf("after the end: %v", err)
	}
}

// Rule: while it waits it looks around, and an end that is found there ends it.
func TestLendingLooksAround(t *testing.T) {
	l := lendingOf(&drawing{t: t, id: 1})
	l.mustLend(t, 1, drawnGeometry.Bounds()).Release()
	tick := make(chan time.Time, 1)
	tick <- time.Time{}
	if err := l.wait(context.Background(), tick, func() { l.end(ErrGeometry) }); !errors.Is(err, ErrGeometry) {
		t.Errorf("wait: %v", err)
	}
}
