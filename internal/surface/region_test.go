package surface

import (
	"encoding/binary"
	"testing"
)

// Rule: a region holds every pixel that was put into it, stays within their
// bounds and the number of its rectangles, and none of those is empty.
func FuzzRegion(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 9, 9, 9, 9})
	f.Add([]byte{0, 0, 1, 1, 2, 2, 1, 1, 4, 4, 1, 1, 6, 6, 1, 1, 8, 8, 1, 1, 10, 10, 1, 1, 12, 12, 1, 1, 14, 14, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Region
		var in []Rect
		for ; len(b) >= 4 && len(in) < 64; b = b[4:] {
			x := Rect{int(b[0]), int(b[1]), int(b[2] % 64), int(b[3] % 64)}
			in, r = append(in, x), r.Add(x)
		}
		checkHolds(t, r, in)
		checkHolds(t, Region{}.Union(r), in)
	})
}

func checkHolds(t *testing.T, r Region, in []Rect) {
	t.Helper()
	var bounds Rect
	for _, x := range in {
		bounds = bounds.Union(x)
		for _, corner := range []Rect{{x.X, x.Y, 1, 1}, {x.X + x.W - 1, x.Y + x.H - 1, 1, 1}, {x.X + x.W/2, x.Y + x.H/2, 1, 1}} {
			if !x.Empty() && !r.holds(corner) {
				t.Fatalf("%v lacks %v of %v", r, corner, x)
			}
		}
	}
	if r.Bounds() != bounds || r.Empty() != bounds.Empty() || !r.within(bounds) {
		t.Fatalf("%v of %v", r, bounds)
	}
	rects := r.Rects()
	if len(rects) > MaxRects {
		t.Fatalf("%d rectangles", len(rects))
	}
	for _, x := range rects {
		if x.Empty() {
			t.Fatalf("%v has an empty one", r)
		}
	}
}

func (r Region) holds(pixel Rect) bool {
	for _, x := range r.Rects() {
		if pixel.Clip(x) == pixel {
			return true
		}
	}
	return false
}

// Rule: what touches is one, what lies apart stays apart while there is room.
func TestRegionMerges(t *testing.T) {
	left, right, far := Rect{0, 0, 10, 10}, Rect{10, 0, 10, 10}, Rect{500, 500, 10, 10}
	if r := RegionOf(left, far, right); r.Area() != 300 || len(r.Rects()) != 2 {
		t.Errorf("%v", r)
	}
	if a, b := RegionOf(left, far), RegionOf(left, far, Rect{3, 3, 2, 2}, Rect{}); a != b {
		t.Errorf("%v and %v", a, b)
	}
	// The third closes the gap between the others.
	if r := RegionOf(Rect{0, 0, 10, 10}, Rect{20, 0, 10, 10}, Rect{10, 0, 10, 10}); r != RegionOf(Rect{0, 0, 30, 10}) {
		t.Errorf("%v", r)
	}
	if r := RegionOf(left, far).Clip(Rect{5, 5, 100, 100}); r != RegionOf(Rect{5, 5, 5, 5}) {
		t.Errorf("clipped: %v", r)
	}
}

// Rule: a full region gives up the two that cost least.
func TestRegionFull(t *testing.T) {
	var r Region
	for i := range MaxRects {
		r = r.Add(Rect{i * 100, i * 100, 1, 1})
	}
	if len(r.Rects()) != MaxRects {
		t.Fatalf("%v", r)
	}
	if r = r.Add(Rect{602, 602, 1, 1}); r.Area() != MaxRects-1+9 {
		t.Errorf("%v", r)
	}
}

// Rule: a descriptor carries every region there is.
func TestRegionTravels(t *testing.T) {
	r := RegionOf(Rect{1, 2, 3, 4}, Rect{65535, 65535, 65535, 65535}, Rect{70, 80, 1, 1})
	b := descriptor{2, 7, r}.encode()
	if d, err := decode(b[:]); err != nil || d != (descriptor{2, 7, r}) {
		t.Errorf("%+v, %v", d, err)
	}
	if binary.LittleEndian.Uint16(b[8:]) != 1 {
		t.Errorf("% x", b)
	}
}
