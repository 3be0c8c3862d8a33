package capture

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portward/internal/surface"
)

var mirrored = surface.Geometry{Width: 8, Height: 4, Stride: 32, Format: surface.FormatBGRX}

// A drawing is a picture of one byte, with a longer stride than the mirror's.
type drawing struct {
	t                *testing.T
	fill             byte
	err              error
	locked, released bool
}

func (d *drawing) lock() ([]byte, int, error) {
	if d.err != nil {
		return nil, 0, d.err
	}
	if d.released || d.locked {
		d.t.Error("locked when it must not be")
	}
	d.locked = true
	pix := make([]byte, 48*mirrored.Height)
	for i := range pix {
		pix[i] = d.fill
	}
	return pix, 48, nil
}

func (d *drawing) unlock() { d.locked = false }

func (d *drawing) release() {
	if d.released || d.locked {
		d.t.Error("released when it must not be")
	}
	d.released = true
}

func newMirrored(t *testing.T) (*mirror, []*surface.Buffer) {
	t.Helper()
	m := newMirror(mirrored)
	var buffers []*surface.Buffer
	for i := range 2 {
		buffers = append(buffers, &surface.Buffer{Slot: i, Pix: make([]byte, mirrored.Size())})
	}
	if err := m.Bind(buffers); err != nil {
		t.Fatal(err)
	}
	return m, buffers
}

func (m *mirror) mustFill(t *testing.T, slot int, want surface.Rect) {
	t.Helper()
	if got, err := m.Fill(slot); err != nil || got != surface.RegionOf(want) {
		t.Fatalf("filled slot %d: %v, %v, want %v", slot, got, err, want)
	}
}

// Rule: each slot gets what changed since it was filled, from the latest picture,
// and nothing else; pictures that are not the latest are let go of.
func TestMirrorCopiesWhatChanged(t *testing.T) {
	m, buffers := newMirrored(t)
	a, b, c := &drawing{t: t, fill: 1}, &drawing{t: t, fill: 2}, &drawing{t: t, fill: 3}
	whole, part := mirrored.Bounds(), surface.Rect{X: 1, Y: 1, W: 2, H: 2}
	m.show(a, surface.RegionOf(whole))
	m.mustFill(t, 0, whole)
	m.show(b, surface.RegionOf(part))
	if !a.released || b.released {
		t.Error("the wrong picture was let go of")
	}
	m.mustFill(t, 0, part)
	for i, v := range buffers[0].Pix {
		x, y := i%32/4, i/32
		want := byte(1)
		if x >= 1 && x < 3 && y >= 1 && y < 3 {
			want = 2
		}
		if v != want {
			t.Fatalf("byte %d is %d, want %d", i, v, want)
		}
	}
	m.show(c, surface.RegionOf(surface.Rect{}))
	m.mustFill(t, 0, surface.Rect{})
	m.mustFill(t, 1, surface.Rect{}) // nothing is new, but the slot had nothing
	for i, v := range buffers[1].Pix {
		if v != 3 {
			t.Fatalf("byte %d of the other slot is %d", i, v)
		}
	}
	m.Invalidate()
	if err := m.wait(context.Background(), nil, nil); err != nil {
		t.Fatal(err)
	}
	m.mustFill(t, 0, whole)
	m.end(os.ErrClosed)
}

// Rule: the end lets go of the picture, comes once, and what comes after it is
// let go of at once.
func TestMirrorEnds(t *testing.T) {
	m, _ := newMirrored(t)
	a, b := &drawing{t: t}, &drawing{t: t}
	m.show(a, surface.RegionOf(mirrored.Bounds()))
	m.end(ErrGone)
	m.show(b, surface.RegionOf(mirrored.Bounds()))
	if !a.released || !b.released {
		t.Error("a picture is still held")
	}
	if err := m.end(os.ErrClosed); !errors.Is(err, ErrGone) {
		t.Errorf("ended again: %v", err)
	}
	if _, err := m.Fill(0); !errors.Is(err, ErrGone) {
		t.Errorf("fill: %v", err)
	}
	if err := m.wait(context.Background(), nil, nil); !errors.Is(err, ErrGone) {
		t.Errorf("wait: %v", err)
	}
}

// Rule: a picture that cannot be read ends the source.
func TestMirrorOfNothing(t *testing.T) {
	m, _ := newMirrored(t)
	if _, err := m.Fill(0); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("without a picture: %v", err)
	}
	m, _ = newMirrored(t)
	m.show(&drawing{t: t, err: errors.New("lost")}, surface.RegionOf(mirrored.Bounds()))
	for range 2 {
		if _, err := m.Fill(0); !errors.Is(err, ErrGone) {
			t.Errorf("fill: %v", err)
		}
	}
}

// Rule: buffers that do not fit are refused.
func TestMirrorBuffers(t *testing.T) {
	m := newMirror(mirrored)
	for _, bad := range [][]*surface.Buffer{nil, {{Slot: 1, Pix: make([]byte, mirrored.Size())}}, {{Pix: make([]byte, mirrored.Size()-1)}}} {
		if m.Bind(bad) == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

// Rule: while it waits it looks around, and an end that is found there ends it.
func TestMirrorLooksAround(t *testing.T) {
	m, _ := newMirrored(t)
	m.show(&drawing{t: t}, surface.RegionOf(surface.Rect{}))
	m.mustFill(t, 0, mirrored.Bounds())
	tick := make(chan time.Time, 1)
	tick <- time.Time{}
	if err := m.wait(context.Background(), tick, func() { m.end(ErrGeometry) }); !errors.Is(err, ErrGeometry) {
		t.Errorf("wait: %v", err)
	}
}

// Rule: what is asked for is answered, or why it was not waited for; then what
// comes late is taken care of, once, and nobody waits for what came in time.
func TestAwait(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	came, tired := errors.New("came"), errors.New("tired")
	ended, cancel := context.WithCancelCause(context.Background())
	cancel(tired)
	for range 100 { // where both are there, chance decides
		done, late := make(chan error, 1), make(chan error, 1)
		done <- came
		switch err := await(ended, done, func(err error) { late <- err }); err {
		case came:
		case tired:
			if err := <-late; err != came {
				t.Errorf("late: %v", err)
			}
		default:
			t.Error(err)
		}
	}
	done, late := make(chan error, 1), make(chan error)
	if err := await(ended, done, func(err error) { late <- err }); err != tired {
		t.Error(err)
	}
	done <- nil
	if err := <-late; err != nil {
		t.Errorf("late: %v", err)
	}
	if err := await(ended, make(chan error), nil); err != tired {
		t.Error(err)
	}
}
