package surface

import (
	"bytes"
	"errors"
	"testing"

	"portward/internal/wire"
)

func TestGeometryCheck(t *testing.T) {
	for _, g := range []Geometry{
		{0, 1, 4, FormatBGRX}, {1, 0, 4, FormatBGRX}, {-1, 1, 4, FormatBGRX}, {1, -1, 4, FormatBGRX},
		{wire.MaxSide, 2561, wire.MaxStride, FormatBGRX}, {wire.MaxSide + 1, 1, wire.MaxStride, FormatBGRX}, {1, wire.MaxSide + 1, 4, FormatBGRX},
		{2, 1, 4, FormatBGRX}, {1, 1, 5, FormatBGRX}, {1, 1, 0, FormatBGRX}, {1, 1, -4, FormatBGRX},
		{1, 1, wire.MaxStride + 4, FormatBGRX}, {1, 1, 4, 0}, {1, 1, 4, 'B'},
	} {
		if g.Check() == nil {
			t.Errorf("%v passed", g)
		}
		if _, err := NewChain(g); err == nil {
			t.Errorf("a chain of %v", g)
		}
	}
	for _, g := range []Geometry{
		{1, 1, 4, FormatBGRX}, {wire.MaxSide, 2560, wire.MaxStride, FormatBGRX}, {1920, 1080, 7680, FormatBGRX}, {1366, 768, 5504, FormatBGRX},
	} {
		if err := g.Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestRect(t *testing.T) {
	a, b := Rect{1, 2, 3, 4}, Rect{3, 1, 5, 2}
	for _, c := range []struct {
		what      string
		got, want Rect
	}{
		{"union", a.Union(b), Rect{1, 1, 7, 5}},
		{"union with nothing", a.Union(Rect{9, 9, 0, 9}), a},
		{"nothing with it", Rect{9, 9, -1, 9}.Union(a), a},
		{"nothing with nothing", Rect{9, 9, -1, 9}.Union(Rect{1, 1, 0, 0}), Rect{}},
		{"clip", a.Clip(b), Rect{3, 2, 1, 1}},
		{"clip inside", a.Clip(Rect{0, 0, 99, 99}), a},
		{"clip outside", a.Clip(Rect{4, 2, 9, 9}), Rect{}},
		{"clip negative", Rect{-5, -5, 7, 8}.Clip(Rect{0, 0, 9, 9}), Rect{0, 0, 2, 3}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}

// A geometry that passes is one that memory can be made of, and its numbers
// cannot overflow anywhere.
func FuzzGeometryCheck(f *testing.F) {
	f.Add(1920, 1080, 7680, uint32(FormatBGRX))
	f.Add(16384, 16384, 65536, uint32(FormatBGRX))
	f.Add(1<<62, 4, -1<<63, uint32(FormatBGRX))
	f.Fuzz(func(t *testing.T, w, h, stride int, format uint32) {
		g := Geometry{w, h, stride, Format(format)}
		if g.Check() != nil {
			return
		}
		if n := g.Size(); n < w*h*BytesPerPixel || n <= 0 || n > MaxSize || n%4 != 0 {
			t.Fatalf("%v has %d bytes", g, n)
		}
		if last := (h-1)*stride + w*BytesPerPixel; last > g.Size() {
			t.Fatalf("%v: last row ends at %d", g, last)
		}
	})
}

// What passes the decoder is in range and is written back as it came.
func FuzzDescriptor(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, descriptorSize))
	for _, d := range []descriptor{{0, 1, Region{}}, {2, maxSeq, RegionOf(Rect{1, 2, 3, 4}, Rect{90, 90, 1, 1})}, {3, 1, RegionOf(Rect{0, 0, 65535, 65535})}} {
		b := d.encode()
		f.Add(b[:])
		f.Add(b[:15])
	}
	g := Geometry{1920, 1080, 7680, FormatBGRX}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decode(b)
		if err != nil {
			if !errors.Is(err, ErrHostile) {
				t.Fatal(err)
			}
			return
		}
		if d.slot < 0 || d.slot >= MaxSlots || d.seq == 0 {
			t.Fatalf("%+v", d)
		}
		if e := d.encode(); !bytes.Equal(e[:], b) {
			t.Fatalf("%x was written back as %x", b, e)
		}
		if r := d.dirty.Bounds(); d.dirty.within(g.Bounds()) && (r.X < 0 || r.Y < 0 || r.X+r.W > g.Width || r.Y+r.H > g.Height) {
			t.Fatalf("%v inside %v", r, g)
		}
		if _, err := decodeRelease(b); (err == nil) != d.dirty.Empty() {
			t.Fatalf("as a release: %v", err)
		}
	})
}
