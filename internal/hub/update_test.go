package hub

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"portward/internal/surface"

	"github.com/klauspost/compress/s2"
)

// Rule: a message holds exactly the pixels of its rectangle, as opaque RGBA.
func TestEncode(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var e encoder
	for range 200 {
		g := surface.Geometry{Width: r.IntN(40) + 1, Height: r.IntN(40) + 1, Format: surface.FormatBGRX}
		g.Stride = (g.Width + r.IntN(5)) * 4
		f := surface.Frame{Seq: r.Uint32(), Geometry: g, Pix: make([]byte, g.Size())}
		for i := range f.Pix {
			f.Pix[i] = byte(r.IntN(4) * 80)
		}
		d := surface.Rect{X: r.IntN(g.Width), Y: r.IntN(g.Height)}
		d.W, d.H = r.IntN(g.Width-d.X)+1, r.IntN(g.Height-d.Y)+1
		f.Dirty = surface.RegionOf(d)
		u, ok, err := e.encode("1", 513, f)
		if err != nil || !ok {
			t.Fatalf("%v %v: %v", g, f.Dirty, err)
		}
		if u.Whole != (d == g.Bounds()) || u.Session != "1" || u.Seq != f.Seq {
			t.Errorf("%v %v: %+v", g, f.Dirty, u)
		}
		checkMessage(t, u.Message, f)
	}
}

func checkMessage(t *testing.T, m []byte, f surface.Frame) {
	t.Helper()
	var words []int
	for at := 8; at < UpdateHeader; at += 2 {
		words = append(words, int(binary.LittleEndian.Uint16(m[at:])))
	}
	d := f.Dirty.Bounds()
	if m[0] != UpdateVersion || m[1] != KindSnappy || binary.LittleEndian.Uint16(m[2:]) != 513 ||
		binary.LittleEndian.Uint32(m[4:]) != f.Seq ||
		!slices.Equal(words, []int{d.X, d.Y, d.W, d.H, f.Width, f.Height}) {
		t.Errorf("header % x for %v of %v", m[:UpdateHeader], d, f.Geometry)
	}
	pix, err := s2.Decode(nil, m[UpdateHeader:])
	if err != nil || len(pix) != d.W*d.H*4 {
		t.Fatalf("%d bytes for %v: %v", len(pix), d, err)
	}
	for y := range d.H {
		for x := range d.W {
			got := pix[(y*d.W+x)*4:][:4]
			from := f.Pix[(d.Y+y)*f.Stride+(d.X+x)*4:]
			if want := []byte{from[2], from[1], from[0], 255}; !slices.Equal(got, want) {
				t.Fatalf("pixel %d,%d of %v is %v, want %v", x, y, d, got, want)
			}
		}
	}
}

// Rule: a rectangle is cut to the picture, an empty one is no update, and a frame
// that cannot be is an error, never a panic.
func TestEncodeRefuses(t *testing.T) {
	var e encoder
	pix := make([]byte, geometry.Size())
	u, ok, err := e.encode("1", 1, surface.Frame{Geometry: geometry, Dirty: surface.RegionOf(surface.Rect{X: -5, Y: -5, W: 100, H: 100}), Pix: pix})
	if err != nil || !ok || !u.Whole {
		t.Errorf("too large: %v %v %+v", ok, err, u)
	}
	for _, r := range []surface.Rect{{}, {X: 100, Y: 1, W: 1, H: 1}, {W: -1, H: 5}} {
		if _, ok, err := e.encode("1", 1, surface.Frame{Geometry: geometry, Dirty: surface.RegionOf(r), Pix: pix}); ok || err != nil {
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
		if _, ok, err := e.encode("1", 1, f); ok || err == nil {
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
		if _, _, err := e.encode("1", 1, f); err != nil {
			b.Fatal(err)
		}
	}
}
