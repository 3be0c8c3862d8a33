package viewertest

import (
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"testing"

	"github.com/chromedp/chromedp"
)

// OpenPage opens url in a new tab of the browser and answers the tab's context.
// It does not wait for anything on the page.
func OpenPage(t testing.TB, browser context.Context, url string) context.Context {
	t.Helper()
	page, stop := chromedp.NewContext(browser)
	t.Cleanup(stop)
	if err := chromedp.Do(page); err != nil { // the tab lives as long as this context
		t.Fatalf("opening a tab: %v", err)
	}
	Do(t, page, "opening the page", chromedp.Navigate(url))
	return page
}

// Do runs an action on a page, within Patience.
func Do(t testing.TB, page context.Context, what string, a chromedp.Action[chromedp.Void]) {
	t.Helper()
	run(t, page, what, a)
}

// Eval answers the value of a JavaScript expression.
func Eval[T any](t testing.TB, page context.Context, expression string) T {
	t.Helper()
	return run(t, page, expression, chromedp.Evaluate[T](expression))
}

// WaitFor waits until a JavaScript expression is true.
func WaitFor(t testing.TB, page context.Context, expression string) {
	t.Helper()
	wait := chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(0))
	ctx, cancel := context.WithTimeout(page, Patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, wait); err != nil {
		state := Eval[string](t, page, `["status", "sessions"].map((id) => document.getElementById(id)?.outerHTML ?? "no #" + id).join("")`)
		t.Fatalf("waiting for %s: %v; the page is\n%s", expression, err, state)
	}
}

// WaitStatus waits until the page says that its connection is in that state.
func WaitStatus(t testing.TB, page context.Context, state string) {
	t.Helper()
	WaitFor(t, page, fmt.Sprintf(`document.getElementById("status").dataset.state === %q`, state))
}

// WaitDrawn waits until the session's canvas is live and shows frame seq or a
// later one.
func WaitDrawn(t testing.TB, page context.Context, session string, seq uint32) {
	t.Helper()
	WaitFor(t, page, fmt.Sprintf(
		`document.getElementById("session-"+%q)?.dataset.state === "live" && Number(document.getElementById("screen-"+%q).dataset.seq) >= %d`,
		session, session, seq))
}

// Canvases answers how many canvases the page has.
func Canvases(t testing.TB, page context.Context) int {
	t.Helper()
	return Eval[int](t, page, `document.querySelectorAll("canvas").length`)
}

// CanvasPixels answers what the session's canvas shows.
func CanvasPixels(t testing.TB, page context.Context, session string) *image.RGBA {
	t.Helper()
	return canvas(t, page, session, "0, 0, c.width, c.height")
}

// CanvasPart answers a part of it; what lies outside of the canvas is
// transparent.
func CanvasPart(t testing.TB, page context.Context, session string, part image.Rectangle) *image.RGBA {
	t.Helper()
	return canvas(t, page, session, fmt.Sprintf("%d, %d, %d, %d", part.Min.X, part.Min.Y, part.Dx(), part.Dy()))
}

func canvas(t testing.TB, page context.Context, session, part string) *image.RGBA {
	t.Helper()
	type picture struct {
		Width  int    `json:"width"`
		Height int    `json:"height"`
		Data   string `json:"data"`
	}
	p := Eval[picture](t, page, fmt.Sprintf(`(() => {
		const c = document.getElementById("screen-"+%q);
		const {width, height, data} = c.getContext("2d").getImageData(%s);
		let s = "";
		for (let i = 0; i < data.length; i += 8192) s += String.fromCharCode(...data.subarray(i, i+8192));
		return {width, height, data: btoa(s)};
	})()`, session, part))
	pix, err := base64.StdEncoding.DecodeString(p.Data)
	if err != nil || len(pix) != p.Width*p.Height*4 {
		t.Fatalf("canvas of session %s: %d bytes for %dx%d: %v", session, len(pix), p.Width, p.Height, err)
	}
	return &image.RGBA{Pix: pix, Stride: p.Width * 4, Rect: image.Rect(0, 0, p.Width, p.Height)}
}

// Screenshot answers the page as a PNG.
func Screenshot(t testing.TB, page context.Context) []byte {
	t.Helper()
	return run(t, page, "taking a screenshot", chromedp.CaptureScreenshot())
}

func run[T any](t testing.TB, page context.Context, what string, a chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(page, Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return v
}
