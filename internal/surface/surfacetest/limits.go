package surfacetest

import (
	"testing"

	"portward/internal/surface"
)

// ample limits are for peers that do not come near them.
var ample = surface.Limits{Chains: 4, Bytes: 512 << 20}

func testGeometry(t *testing.T, w Way) {
	a := surface.NewAccount(surface.Limits{Chains: 2, Bytes: ample.Bytes})
	old := newRig(t, w, small)
	was := old.connect(a)
	old.submit(1, small.Bounds())
	f := old.next(was)

	wide := surface.Geometry{Width: 101, Height: 3, Stride: 101*4 + 12, Format: surface.FormatBGRX}
	r := newRig(t, w, wide)
	s := r.connect(a)
	was.Close()
	r.submit(2, wide.Bounds())
	g := r.next(s)
	if g.Geometry != wide || len(g.Pix) != wide.Size() || mark(g) != 2 || mark(f) != 1 {
		t.Fatalf("geometry %v, %d bytes, marks %d and %d", g.Geometry, len(g.Pix), mark(g), mark(f))
	}
	f.Release()
	if n, b := a.Used(); n != 1 || b != int64(surface.Slots*wide.Size()) {
		t.Fatalf("account says %d chains, %d bytes", n, b)
	}
	r.release(g)
}

// A thousand chains of one peer: it gets what one peer gets, another peer is
// not affected, and nothing of the refused ones stays.
func testChains(t *testing.T, w Way) {
	r, other := newRig(t, w, small), newRig(t, w, small)
	greedy, honest := surface.NewAccount(ample), surface.NewAccount(ample)
	s := other.connect(honest)
	var got []*surface.Sink
	files := openFiles()
	for range 1000 {
		s, err := r.open(greedy)
		if err == nil {
			got = append(got, s)
			files = openFiles()
			continue
		}
		r.wantErr("one more chain", err, surface.ErrLimit)
	}
	if len(got) != ample.Chains {
		t.Fatalf("got %d chains", len(got))
	}
	until(t, "no descriptor of the refused left", func() bool { return openFiles() <= files })
	other.submit(1, small.Bounds())
	other.release(other.next(s))

	got[0].Close()
	r.connect(greedy)
}

func testBytes(t *testing.T, w Way) {
	r := newRig(t, w, small)
	one := int64(surface.Slots * small.Size())
	a := surface.NewAccount(surface.Limits{Chains: 9, Bytes: 2*one + one/2})
	r.connect(a)
	s := r.connect(a)
	_, err := r.open(a)
	r.wantErr("too many bytes", err, surface.ErrLimit)
	s.Close()
	r.connect(a)
	if n, b := a.Used(); n != 2 || b != 2*one {
		t.Fatalf("account says %d chains, %d bytes", n, b)
	}
}
