package surface

import "fmt"

// MaxRects is how many rectangles a Region has at most.
const MaxRects = 7

// A Region is a part of a picture: the pixels in any of its rectangles. It is
// coarse: where MaxRects do not suffice, and where it costs little, rectangles
// grow together, and so a Region may be more than what was put into it, never
// less. The zero Region is empty.
type Region struct {
	count int
	rects [MaxRects]Rect // none empty; behind count all zero
}

// RegionOf is the region of these rectangles; empty ones count for nothing.
func RegionOf(rects ...Rect) Region {
	var r Region
	for _, x := range rects {
		r = r.Add(x)
	}
	return r
}

// Rects are the rectangles, none of them empty. They may overlap.
func (r Region) Rects() []Rect { return append([]Rect(nil), r.rects[:r.count]...) }

// Empty says whether r holds no pixel.
func (r Region) Empty() bool { return r.count == 0 }

// Bounds is the smallest rectangle around all of r.
func (r Region) Bounds() Rect {
	var b Rect
	for _, x := range r.rects[:r.count] {
		b = b.Union(x)
	}
	return b
}

// Area is the sum of the rectangles' pixels.
func (r Region) Area() int {
	n := 0
	for _, x := range r.rects[:r.count] {
		n += x.area()
	}
	return n
}

// Add is r and one rectangle more.
func (r Region) Add(x Rect) Region {
	if x.Empty() || r.covers(x) {
		return r
	}
	// What grows may reach the next one, so each merge begins anew.
	for i := 0; i < r.count; i++ {
		if u := r.rects[i].Union(x); worthwhile(r.rects[i], x, u) {
			x = u
			r.remove(i)
			i = -1
		}
	}
	if r.count == MaxRects {
		return r.squeeze(x)
	}
	r.rects[r.count] = x
	r.count++
	return r
}

// covers says whether one rectangle has all of x.
func (r Region) covers(x Rect) bool {
	for _, y := range r.rects[:r.count] {
		if x.Clip(y) == x {
			return true
		}
	}
	return false
}

// squeeze adds x to a full region by merging the two that waste least.
func (r Region) squeeze(x Rect) Region {
	all := append(r.Rects(), x)
	var a, b, least int
	for i := range all {
		for j := range i {
			waste := all[i].Union(all[j]).area() - all[i].area() - all[j].area()
			if b == a || waste < least {
				a, b, least = i, j, waste
			}
		}
	}
	all[b] = all[b].Union(all[a])
	return RegionOf(append(all[:a], all[a+1:]...)...)
}

// worthwhile says whether u, the union, may stand for both: it has hardly more
// pixels, an eighth, than they have.
func worthwhile(a, b, u Rect) bool {
	n := a.area() + b.area()
	return u.area() <= n+n/8
}

func (r *Region) remove(i int) {
	copy(r.rects[i:], r.rects[i+1:r.count])
	r.count--
	r.rects[r.count] = Rect{}
}

// Union is both.
func (r Region) Union(o Region) Region {
	for _, x := range o.rects[:o.count] {
		r = r.Add(x)
	}
	return r
}

// Clip is the part of r inside o.
func (r Region) Clip(o Rect) Region {
	var c Region
	for _, x := range r.rects[:r.count] {
		c = c.Add(x.Clip(o))
	}
	return c
}

func (r Region) String() string { return fmt.Sprint(r.rects[:r.count]) }

// within says whether no pixel of r lies outside of o.
func (r Region) within(o Rect) bool {
	for _, x := range r.rects[:r.count] {
		if x.Clip(o) != x {
			return false
		}
	}
	return true
}
