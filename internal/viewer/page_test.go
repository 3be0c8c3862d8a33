package viewer

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"portward/internal/surface"
	"portward/internal/viewer/viewertest"

	"github.com/klauspost/compress/s2"
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
// a rectangle changes that rectangle; another size resizes the canvas.
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

	r := surface.Rect{X: 7, Y: 11, W: 33, H: 5}
	for y := r.Y; y < r.Y+r.H; y++ {
		for i := (y*width + r.X) * 4; i < (y*width+r.X+r.W)*4; i += 4 {
			copy(bgrx[i:], []byte{1, 2, 3, 4})
			copy(rgba[i:], []byte{3, 2, 1, 255})
		}
	}
	seq := viewertest.Eval[uint32](t, page, `Number(document.getElementById("screen-1").dataset.seq)`)
	a.show(r, func(pix []byte) { copy(pix, bgrx) })
	viewertest.WaitDrawn(t, page, "1", seq+1)
	same(t, viewertest.CanvasPixels(t, page, "1").Pix, rgba)

	bgrx, rgba = noise(seed+1, 64, 48)
	enter(t, st, "1", 64, 48, func(pix []byte) { copy(pix, bgrx) })
	viewertest.WaitFor(t, page, `document.getElementById("screen-1").width === 64`)
	same(t, viewertest.CanvasPixels(t, page, "1").Pix, rgba)
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

// The page says that there are no sessions, shows those that come, and never scrolls sideways, from a phone to a wide screen. With -artifacts its
// screenshots are kept.
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

// The decoder refuses what is no block of the expected size, and never answers
// pixels for it.
func TestDecoderRefuses(t *testing.T) {
	browser := viewertest.Browser(t)
	st := play(t, "127.0.0.1:0", 1, selfSigned(t))
	page := viewertest.OpenPage(t, browser, "https://"+st.addr+"/")

	good := s2.EncodeSnappy(nil, bytes.Repeat([]byte("abcdefgh"), 100))
	blocks := map[string][]byte{
		"empty":                 {},
		"endless length":        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"other length":          {4, 12, 1, 2, 3, 4},
		"nothing behind length": good[:2],
		"truncated":             good[:len(good)-1],
		"trailing":              append(bytes.Clone(good), 0, 1),
		"copy before the start": {0xa0, 0x06, 0x01, 0x01},
		"copy from nowhere":     {0xa0, 0x06, 0x00, 1, 0x01, 0x00},
		"copy without offset":   {0xa0, 0x06, 0x00, 1, 0x02},
		"far copy":              {0xa0, 0x06, 0x00, 1, 0x03, 0xff, 0xff, 0xff, 0xff},
		"literal too long":      {0xa0, 0x06, 0xfc, 0xff, 0xff, 0xff, 0xff},
		"literal without size":  {0xa0, 0x06, 0xf4},
	}
	for name, block := range blocks {
		if got := unsnap(t, page, block, 800); got != "refused" {
			t.Errorf("%s: %.60s", name, got)
		}
	}
	if got := unsnap(t, page, good, 800); got != "abcdefgh" {
		t.Errorf("the good block: %s", got)
	}
}

// unsnap answers the first letters of what the page's decoder makes of block.
func unsnap(t *testing.T, page pageContext, block []byte, size int) string {
	t.Helper()
	arg, err := json.Marshal(base64.StdEncoding.EncodeToString(block))
	if err != nil {
		t.Fatal(err)
	}
	return await(t, page, fmt.Sprintf(`import("/update.js").then((m) => {
		const block = Uint8Array.from(atob(%s), (c) => c.charCodeAt(0));
		try { return String.fromCharCode(...m.unsnap(block, %d).slice(0, 8)); } catch { return "refused"; }
	})`, arg, size))
}
