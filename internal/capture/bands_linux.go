package capture

import (
	"cmp"
	"slices"

	"portward/internal/surface"
)

// bands are the rows that a region touches, over the picture's full width, from
// the top down. What touches or overlaps is one; no row is in two.
func bands(r surface.Region, width int) []surface.Rect {
	rects := r.Rects()
	slices.SortFunc(rects, func(a, b surface.Rect) int { return cmp.Compare(a.Y, b.Y) })
	var all []surface.Rect
	for _, x := range rects {
		x.X, x.W = 0, width
		if last := len(all) - 1; last >= 0 && x.Y <= all[last].Y+all[last].H {
			all[last] = all[last].Union(x)
			continue
		}
		all = append(all, x)
	}
	return all
}
