package hub

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"portward/internal/surface"

	"github.com/klauspost/compress/s2"
)

// Rule: a message holds exactly the pixels of its rectangles, as opaque RGBA, in
// order, and all that has changed is in one of them.
func TestEncode(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var e encoder
	most := 0
	for range 300 {
		f := randomFrame(r)
		u, ok, err := encodeAlone(&e, 513, f, r.IntN(700)+1)
		if err != nil || !ok {
			t.Fatalf("%v %v: %v", f.Geometry, f.Dirty, err)
		}
		if u.Session != "1" || u.Index != 513 || u.Seq != f.Seq {
			t.Errorf("%v %v: %+v", f.Geometry, f.Dirty, u)
		}
		rects := checkMessage(t, slices.Concat(u.Message...), f)
		if whole := len(rects) == 1 && rects[0] == f.Bounds(); whole != u.Whole {
			t.Errorf("whole %v for %v of %v", u.Whole, rects, f.Geometry)
		}
		most = max(most, len(rects))
	}
	if most < 3 {
		t.Errorf("no message had more than %d rectangles", most)
	}
}

func randomFrame(r *rand.Rand) surface.Frame {
	g := surface.Geometry{Width: r.IntN(40) + 1, Height: r.IntN(40) + 1, Format: surface.FormatBGRX}
	g.Stride = (g.Width + r.IntN(5)) * 4
	f := surface.Frame{Seq: r.Uint32(), Geometry: g, Pix: make([]byte, g.Size())}
	for i := range f.Pix {
		f.Pix[i] = byte(r.IntN(4) * 80)
	}
	for range r.IntN(10) + 1 {
		d := surface.Rect{X: r.IntN(g.Width), Y: r.IntN(g.Height)}
		d.W, d.H = r.IntN(min(g.Width-d.X, 9))+1, r.IntN(min(g.Height-d.Y, 9))+1
		f.Dirty = f.Dirty.Add(d)
	}
	return f
}

// encodeAlone encodes f in bands of so many bytes, on an encoder that nobody else wants.
func encodeAlone(e *encoder, index uint16, f surface.Frame, band int) (Update, bool, error) {
	d, changed, err := newDraft("1", index, f)
	if err != nil || !changed {
		return Update{}, false, err
	}
	d.band = band
	for d.encodeBand(e) {
	}
	return d.update, true, nil
}

// checkMessage answers the message's rectangles.
func checkMessage(t *testing.T, m []byte, f surface.Frame) (rects []surface.Rect) {
	t.Helper()
	short := func(at int) int { return int(binary.LittleEndian.Uint16(m[at:])) }
	if m[0] != UpdateVersion || m[1] != KindSnappy || short(2) != 513 || binary.LittleEndian.Uint32(m[4:]) != f.Seq ||
		short(8) != f.Width || short(10) != f.Height {
		t.Fatalf("header % x for %v", m[:UpdateHeader], f.Geometry)
	}
	pixels := 0
	for i := range short(12) {
		at := UpdateHeader + i*RectSize
		r := surface.Rect{X: short(at), Y: short(at + 2), W: short(at + 4), H: short(at + 6)}
		if r.Empty() || r.Clip(f.Bounds()) != r {
			t.Fatalf("rectangle %v of %v", r, f.Geometry)
		}
		rects, pixels = append(rects, r), pixels+r.W*r.H
	}
	if len(rects) < 1 || len(rects) > surface.MaxRects || pixels > f.Width*f.Height {
		t.Fatalf("rectangles %v of %v", rects, f.Geometry)
	}
	pix, err := s2.Decode(nil, m[UpdateHeader+len(rects)*RectSize:])
	if err != nil || len(pix) != pixels*4 {
		t.Fatalf("%d bytes for %v: %v", len(pix), rects, err)
	}
	for _, r := range rects {
		checkPixels(t, pix[:r.W*r.H*4], r, f)
		pix = pix[r.W*r.H*4:]
	}
	checkCovered(t, rects, f.Dirty)
	return rects
}

func checkPixels(t *testing.T, pix []byte, r surface.Rect, f surface.Frame) {
	t.Helper()
	for y := range r.H {
		for x := range r.W {
			got := pix[(y*r.W+x)*4:][:4]
			from := f.Pix[(r.Y+y)*f.Stride+(r.X+x)*4:]
			if want := []byte{from[2], from[1], from[0], 255}; !slices.Equal(got, want) {
				t.Fatalf("pixel %d,%d of %v is %v, want %v", x, y, r, got, want)
			}
		}
	}
}

func checkCovered(t *testing.T, rects []surface.Rect, dirty surface.Region) {
	t.Helper()
	for _, d := range dirty.Rects() {
		if !slices.ContainsFunc(rects, func(r surface.Rect) bool { return d.Clip(r) == d }) {
			t.Errorf("%v has changed and is not in %v", d, rects)
		}
	}
}

// Rule: two distant changes are two rectangles of one message, not all that
// lies between them; rectangles that are no fewer pixels than the whole are it.
func TestEncodeFewPixels(t *testing.T) {
	g := surface.Geometry{Width: 1000, Height: 1000, Stride: 4000, Format: surface.FormatBGRX}
	f := surface.Frame{Geometry: g, Pix: make([]byte, g.Size())}
	f.Dirty = surface.RegionOf(surface.Rect{X: 10, Y: 10, W: 8, H: 8}, surface.Rect{X: 900, Y: 950, W: 8, H: 8})
	var e encoder
	u, _, err := encodeAlone(&e, 1, f, bandBytes)
	if n := binary.LittleEndian.Uint16(u.Message[0][12:]); err != nil || n != 2 || len(e.packed) != 2*8*8*4 {
		t.Errorf("%d rectangles, %d bytes packed, %v", n, len(e.packed), err)
	}
	// A pin wheel: no two of the four are worth merging, and a fifth fills it.
	f.Dirty = surface.RegionOf(
		surface.Rect{W: 600, H: 400}, surface.Rect{X: 600, W: 400, H: 600},
		surface.Rect{X: 400, Y: 600, W: 600, H: 400}, surface.Rect{Y: 400, W: 400, H: 600},
		surface.Rect{X: 400, Y: 400, W: 200, H: 200})
	u, _, err = encodeAlone(&e, 1, f, bandBytes)
	if n := binary.LittleEndian.Uint16(u.Message[0][12:]); err != nil || n != 1 || !u.Whole {
		t.Errorf("all of it as %d rectangles, whole %v, %v", n, u.Whole, err)
	}
}

// Rule: a rectangle is cut to the picture, an empty one is no update, and a frame
// that cannot be is an error, never a panic.
func TestEncodeRefuses(t *testing.T) {
	var e encoder
	pix := make([]byte, geometry.Size())
	u, ok, err := encodeAlone(&e, 1, surface.Frame{Geometry: geometry, Dirty: surface.RegionOf(surface.Rect{X: -5, Y: -5, W: 100, H: 100}), Pix: pix}, bandBytes)
	if err != nil || !ok || !u.Whole {
		t.Errorf("too large: %v %v %+v", ok, err, u)
	}
	for _, r := range []surface.Rect{{}, {X: 100, Y: 1, W: 1, H: 1}, {W: -1, H: 5}} {
		if _, ok, err := encodeAlone(&e, 1, surface.Frame{Geometry: geometry, Dirty: surface.RegionOf(r), Pix: pix}, bandBytes); ok || err != nil {
			t.Errorf("%v: %v %v", r, ok, err)
		}
	}
	tall, bad := geometry, geometry
	tall.Height, bad.Stride = 1<<17, 4
	for _, f := range []surface.Frame{
		{Geometry: geometry, Dirty: surface.RegionOf(part), Pix: pix[1:]},
		{Geometry: tall, Dirty: surface.RegionOf(part), Pix: pix},
		{Geometry: bad, Dirty: surface.RegionOf(part), Pix: pix},
		{},
	} {
		if _, ok, err := encodeAlone(&e, 1, f, bandBytes); ok || err == nil {
			t.Errorf("%v with %d bytes was encoded", f.Geometry, len(f.Pix))
		}
	}
}

func BenchmarkEncodeWhole(b *testing.B) {
	g := surface.Geometry{Width: 1920, Height: 1080, Stride: 7680, Format: surface.FormatBGRX}
	f := surface.Frame{Geometry: g, Dirty: surface.RegionOf(g.Bounds()), Pix: make([]byte, g.Size())}
	for i := range f.Pix {
		f.Pix[i] = byte(i / 4 / 97 * 31)
	}
	var e encoder
	b.SetBytes(int64(g.Size()))
	for b.Loop() {
		if _, _, err := encodeAlone(&e, 1, f, bandBytes); err != nil {
			b.Fatal(err)
		}
	}
}
