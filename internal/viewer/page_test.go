package viewer

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"portward/internal/hub"
	"portward/internal/surface"
	"portward/internal/viewer/viewertest"
)

// noise is a picture in which parts repeat, so that every kind of Snappy
// element occurs, and what it must look like as RGBA.
func noise(seed uint64, width, height int) (bgrx, rgba []byte) {
	r := rand.New(rand.NewPCG(seed, 0))
	bgrx = make([]byte, width*height*4)
	for i := 0; i < len(bgrx); {
		run, from := r.IntN(400)+1, r.IntN(i+1)
		random := r.IntN(3) > 0
		for ; run > 0 && i < len(bgrx); run, i = run-1, i+1 {
			if random || i == 0 {
				bgrx[i] = byte(r.Uint32())
			} else {
				bgrx[i] = bgrx[from]
				from++
			}
		}
	}
	rgba = make([]byte, len(bgrx))
	for i := 0; i < len(bgrx); i += 4 {
		rgba[i], rgba[i+1], rgba[i+2], rgba[i+3] = bgrx[i+2], bgrx[i+1], bgrx[i], 255
	}
	return bgrx, rgba
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	cert, _, err := LoadOrCreateIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// What an agent shows arrives on the real page, every pixel of it; a change of
// distant rectangles, in one update, changes those; another size resizes the
// canvas.
func TestPageShowsPixels(t *testing.T) {
	browser := viewertest.Browser(t)
	st := play(t, "127.0.0.1:0", 1, selfSigned(t))
	const width, height = 301, 203 // odd: rows end between two pixels
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	bgrx, rgba := noise(seed, width, height)
	a := enter(t, st, "1", width, height, func(pix []byte) { copy(pix, bgrx) })

	page := viewertest.OpenPage(t, browser, Address(st.addr, testToken))
	viewertest.WaitStatus(t, page, "connected")
	viewertest.WaitDrawn(t, page, "1", 1) // a screen that nothing changes is shown too
	same(t, viewertest.CanvasPixels(t, page, "1").Pix, rgba)

	corners := surface.RegionOf(surface.Rect{X: 7, Y: 11, W: 33, H: 5}, surface.Rect{X: 299, Y: 0, W: 2, H: 1},
		surface.Rect{X: 0, Y: 202, W: 1, H: 1}, surface.Rect{X: 250, Y: 150, W: 51, H: 53})
	if n := len(corners.Rects()); n != 4 {
		t.Fatalf("%d rectangles", n)
	}
	for i, r := range corners.Rects() {
		recolour(bgrx, width, r, []byte{1, 2, byte(i), 4})
		recolour(rgba, width, r, []byte{byte(i), 2, 1, 255})
	}
	seq := viewertest.Eval[uint32](t, page, `Number(document.getElementById("screen-1").dataset.seq)`)
	a.show(corners, func(pix []byte) { copy(pix, bgrx) })
	viewertest.WaitDrawn(t, page, "1", seq+1)
	same(t, viewertest.CanvasPixels(t, page, "1").Pix, rgba)

	bgrx, rgba = noise(seed+1, 64, 48)
	enter(t, st, "1", 64, 48, func(pix []byte) { copy(pix, bgrx) })
	viewertest.WaitFor(t, page, `document.getElementById("screen-1").width === 64`)
	same(t, viewertest.CanvasPixels(t, page, "1").Pix, rgba)
}

// recolour fills a rectangle of a picture that is so wide with one pixel.
func recolour(pix []byte, width int, r surface.Rect, pixel []byte) {
	for y := r.Y; y < r.Y+r.H; y++ {
		for x := r.X; x < r.X+r.W; x++ {
			copy(pix[(y*width+x)*4:], pixel)
		}
	}
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d bytes of pixels, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("byte %d is %d, want %d", i, got[i], want[i])
		}
	}
}

// Without a token, and with a wrong one, the page shows nothing and says why;
// the right one, put behind the #, brings it to life.
func TestPageNeedsToken(t *testing.T) {
	browser := viewertest.Browser(t)
	st := play(t, "127.0.0.1:0", 1, selfSigned(t))
	enter(t, st, "1", 32, 32, func([]byte) {})
	for name, url := range map[string]string{
		"none":  "https://" + st.addr + "/",
		"wrong": Address(st.addr, "another"),
	} {
		page := viewertest.OpenPage(t, browser, url)
		viewertest.WaitStatus(t, page, "unauthorised")
		if n := viewertest.Canvases(t, page); n != 0 {
			t.Errorf("token %s: %d canvases", name, n)
		}
		viewertest.WaitFor(t, page, `!document.getElementById("denied").hidden`)
		if st.hub.Viewers() != 0 {
			t.Errorf("token %s: the hub has a viewer", name)
		}
	}
	page := viewertest.OpenPage(t, browser, Address(st.addr, "another"))
	viewertest.WaitStatus(t, page, "unauthorised")
	viewertest.Eval[string](t, page, fmt.Sprintf("location.hash = %q", testToken))
	viewertest.WaitDrawn(t, page, "1", 1)
	// And nothing is kept when it becomes wrong again.
	viewertest.Eval[string](t, page, `location.hash = "wrong-again"`)
	viewertest.WaitStatus(t, page, "unauthorised")
	if n := viewertest.Canvases(t, page); n != 0 {
		t.Errorf("%d canvases are left", n)
	}
}

// The page keeps the last picture while the server is gone, comes back by itself
// to the next life, shows again, and draws both lives.
func TestPageSurvivesRestart(t *testing.T) {
	browser := viewertest.Browser(t)
	cert := selfSigned(t)
	st := play(t, "127.0.0.1:0", 7, cert)
	old, oldRGBA := noise(1, 40, 30)
	enter(t, st, "1", 40, 30, func(pix []byte) { copy(pix, old) })
	page := viewertest.OpenPage(t, browser, Address(st.addr, testToken))
	viewertest.WaitDrawn(t, page, "1", 1)

	st.stop()
	viewertest.WaitStatus(t, page, "reconnecting")
	viewertest.WaitFor(t, page, `document.querySelector("#session-1 .veil").textContent === "reconnecting"`)
	same(t, viewertest.CanvasPixels(t, page, "1").Pix, oldRGBA)
	viewertest.WaitFor(t, page, `"end" in document.getElementById("life-7").dataset`)

	next := play(t, st.addr, 8, cert)
	viewertest.WaitStatus(t, page, "connected")
	fresh, freshRGBA := noise(2, 40, 30)
	enter(t, next, "1", 40, 30, func(pix []byte) { copy(pix, fresh) })
	viewertest.WaitDrawn(t, page, "1", 1)
	same(t, viewertest.CanvasPixels(t, page, "1").Pix, freshRGBA)
	viewertest.WaitFor(t, page, `document.getElementById("life-8").dataset.life === "8" && !("end" in document.getElementById("life-8").dataset)`)
}

// A page that meets a server of another protocol, after an update, loads the
// server's own page, with the token; one of the same protocol loads nothing.
func TestPageLoadsAnew(t *testing.T) {
	browser := viewertest.Browser(t)
	cert := selfSigned(t)
	st := play(t, "127.0.0.1:0", 1, cert)
	page := viewertest.OpenPage(t, browser, Address(st.addr, testToken))
	viewertest.WaitStatus(t, page, "connected")
	viewertest.Eval[string](t, page, `window.mark = "the old page"`)

	st.stop()
	st = play(t, st.addr, 2, cert)
	viewertest.WaitFor(t, page, `document.getElementById("life-2") !== null && window.mark === "the old page"`)

	st.stop()
	play(t, st.addr, 3, cert, func(s *server) { s.version = protocolVersion + 1 })
	until(t, "the page is another", func() bool { return evaluates(page, `window.mark === undefined && location.hash.length > 1`) })
}

// The page says that there are no sessions, shows those that come, and never
// scrolls sideways, from a phone to a wide screen. With -artifacts its screenshots
// are kept.
func TestPageLayout(t *testing.T) {
	browser := viewertest.Browser(t)
	st := play(t, "127.0.0.1:0", 3, selfSigned(t))
	page := viewertest.OpenPage(t, browser, Address(st.addr, testToken))
	viewertest.WaitStatus(t, page, "connected")
	viewertest.WaitFor(t, page, `!document.getElementById("empty").hidden`)

	for i := range 3 {
		enter(t, st, fmt.Sprint(i+1), 640, 400, desktop(i))
	}
	for i := range 3 {
		viewertest.WaitDrawn(t, page, fmt.Sprint(i+1), 1)
	}
	viewertest.WaitFor(t, page, `document.getElementById("empty").hidden`)
	for _, width := range []int64{340, 800, 1280, 2400} {
		resize(t, page, width)
		viewertest.WaitFor(t, page, `document.documentElement.scrollWidth <= innerWidth`)
		name := fmt.Sprintf("page-%d.png", width)
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), viewertest.Screenshot(t, page), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// Each screen of a login has a card that says so, in order, and figures of its
// own: what the page drew and received of it, which is nothing once it is still.
func TestPageScreensAndFigures(t *testing.T) {
	browser := viewertest.Browser(t)
	st := play(t, "127.0.0.1:0", 1, selfSigned(t))
	agents := map[string]*agent{}
	for _, id := range []string{"10", "2", hub.StreamID("2", 2), hub.StreamID("2", 1)} {
		agents[id] = enter(t, st, id, 64, 48, func([]byte) {})
	}
	page := viewertest.OpenPage(t, browser, Address(st.addr, testToken))
	viewertest.WaitFor(t, page, `[...document.querySelectorAll(".session")].map((s) => s.id + ": " + s.querySelector(".name").textContent).join("; ") ===
		"session-2: Session 2; session-2.1: Session 2, screen 2; session-2.2: Session 2, screen 3; session-10: Session 10"`)
	for id := range agents {
		viewertest.WaitDrawn(t, page, id, 1)
	}

	moving := make(chan struct{})
	var agent sync.WaitGroup
	agent.Go(func() {
		for {
			select {
			case <-moving:
				return
			default:
				agents["2.1"].showAll(func(pix []byte) { pix[0]++ })
			}
		}
	})
	const figures = `(id) => { const of = (q) => document.querySelector("#session-" + CSS.escape(id) + " " + q);
		return [Number(of("canvas").dataset.bps), Number(of(".fps").textContent), of(".bps").textContent, Number(of("canvas").dataset.fps)]; }`
	viewertest.WaitFor(t, page, `(() => { const [bps, drawn, words, sent] = (`+figures+`)("2.1");
		return bps > 100 && drawn > 0 && sent > 0 && /^[0-9.]+ [kM]?B.s$/.test(words); })()`)
	viewertest.WaitFor(t, page, `(`+figures+`)("2.2").join() === "0,0,0 B/s,0"`)
	close(moving)
	agent.Wait()
	viewertest.WaitFor(t, page, `(`+figures+`)("2.1").join() === "0,0,0 B/s,0"`)
}
