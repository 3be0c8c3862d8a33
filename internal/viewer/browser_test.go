package viewer

import (
	"context"
	"testing"

	"portward/internal/viewer/viewertest"

	"github.com/chromedp/chromedp"
)

type pageContext = context.Context

func resize(t *testing.T, page pageContext, width int64) {
	t.Helper()
	viewertest.Do(t, page, "resizing", chromedp.EmulateViewport(width, 900))
}

// evaluates says whether an expression is true on a page that may be about to
// load another one.
func evaluates(page pageContext, expression string) bool {
	ctx, cancel := context.WithTimeout(page, viewertest.Patience)
	defer cancel()
	is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
	return err == nil && is
}

// await answers the string that a promise is kept with.
func await(t *testing.T, page pageContext, promise string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(page, viewertest.Patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](promise, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// desktop paints something like a screen: a ground, windows, lines of text.
func desktop(n int) func(pix []byte) {
	colours := [][3]byte{{0x60, 0x48, 0x28}, {0x48, 0x58, 0x30}, {0x50, 0x30, 0x58}}
	return func(pix []byte) {
		const width, height = 640, 400
		fill := func(x0, y0, w, h int, c [3]byte) {
			for y := y0; y < y0+h; y++ {
				for x := x0; x < x0+w; x++ {
					copy(pix[(y*width+x)*4:], c[:])
				}
			}
		}
		fill(0, 0, width, height, colours[n%len(colours)])
		fill(60+40*n, 50, 360, 260, [3]byte{0xf4, 0xf2, 0xf0})
		fill(60+40*n, 50, 360, 22, [3]byte{0xb0, 0x90, 0x70})
		for line := range 12 {
			fill(74+40*n, 86+line*17, 120+(line*67)%190, 7, [3]byte{0x60, 0x58, 0x50})
		}
	}
}
