package capture

import (
	"math/rand/v2"
	"slices"
	"testing"

	"portward/internal/surface"
)

// Rule: a row is in a band if and only if the region touches it, and in one only;
// bands do not touch and go from the top down.
func TestBands(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	const width, height = 100, 60
	for range 2000 {
		var region surface.Region
		for range r.IntN(9) {
			region = region.Add(surface.Rect{X: r.IntN(90), Y: r.IntN(50), W: r.IntN(10), H: r.IntN(10)})
		}
		touched, banded := make([]bool, height), make([]bool, height)
		for _, x := range region.Rects() {
			for y := range x.H {
				touched[x.Y+y] = true
			}
		}
		end := -1
		for _, b := range bands(region, width) {
			if b.X != 0 || b.W != width || b.Empty() || b.Y <= end {
				t.Fatalf("%v: band %v after row %d", region, b, end)
			}
			end = b.Y + b.H
			for y := range b.H {
				banded[b.Y+y] = true
			}
		}
		if !slices.Equal(touched, banded) {
			t.Fatalf("%v: %v", region, bands(region, width))
		}
	}
}
