package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portward/internal/capture"
	"portward/internal/surface"
	"portward/internal/viewer"
	"portward/internal/viewer/viewertest"
)

// Whatever the tests here see, they see as a person does: on the page, in a
// real browser.

// An eye looks at the page of one running up.
type eye struct {
	t    *testing.T
	page context.Context
}

// pageAddress answers the page's address with the token that netchild made.
func (r *running) pageAddress() string {
	r.t.Helper()
	path := r.tokenPath()
	s := r.await("netchild made its token", func(snapshot) bool {
		_, err := os.Stat(path)
		return err == nil
	})
	u, err := url.Parse(s.Viewer)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return viewer.Address(u.Host, strings.TrimSpace(string(b)))
}

func (r *running) tokenPath() string {
	return viewer.TokenPath(filepath.Join(r.root, "state", "netchild"))
}

// look opens the page with its token, and marks this instance of it.
func (r *running) look(browser context.Context) eye {
	r.t.Helper()
	e := eye{r.t, viewertest.OpenPage(r.t, browser, r.pageAddress())}
	viewertest.WaitStatus(r.t, e.page, "connected")
	viewertest.Eval[string](r.t, e.page, `window.mark = "never loaded again"`)
	return e
}

// sameInstance checks that the page was not loaded again since look.
func (e eye) sameInstance() {
	e.t.Helper()
	if mark := viewertest.Eval[string](e.t, e.page, `String(window.mark)`); mark != "never loaded again" {
		e.t.Errorf("the page was loaded again: its mark is %q", mark)
	}
}

// waitLive waits until the sessions' pictures are of the present life.
func (e eye) waitLive(sessions ...string) {
	e.t.Helper()
	for _, id := range sessions {
		viewertest.WaitDrawn(e.t, e.page, id, 1)
	}
}

// waitLife waits until the timeline shows that life n answers and that those
// before it ended, the first of them being life 1.
func (e eye) waitLife(n int) {
	e.t.Helper()
	viewertest.WaitFor(e.t, e.page, fmt.Sprintf(`document.getElementById("life-%d")?.dataset.end === undefined &&
		document.getElementById("status").dataset.state === "connected" &&
		[...document.querySelectorAll("#lives li")].map((l) => l.dataset.life + ("end" in l.dataset ? " ended" : "")).join() ===
			Array.from({length: %d}, (_, i) => i+1 + (i+1 < %d ? " ended" : "")).join()`, n, n, n))
}

// waitColour waits until a pixel of a live session has that colour.
func (e eye) waitColour(session string, at image.Point, c color.RGBA) {
	e.t.Helper()
	viewertest.WaitFor(e.t, e.page, fmt.Sprintf(`document.getElementById("session-"+%q)?.dataset.state === "live" &&
		document.getElementById("screen-"+%q).getContext("2d").getImageData(%d, %d, 1, 1).data.join() === "%d,%d,%d,255"`,
		session, session, at.X, at.Y, c.R, c.G, c.B))
}

// waitChange waits until a part of each session's canvas looks different from
// now.
func (e eye) waitChange(part image.Rectangle, sessions ...string) {
	e.t.Helper()
	e.waitLive(sessions...)
	first := map[string]*image.RGBA{}
	for _, id := range sessions {
		first[id] = viewertest.CanvasPart(e.t, e.page, id, part)
	}
	for _, id := range sessions {
		e.until(fmt.Sprintf("%v of session %s changes", part, id), func() bool {
			return !bytes.Equal(viewertest.CanvasPart(e.t, e.page, id, part).Pix, first[id].Pix)
		})
	}
}

func (e eye) until(what string, holds func() bool) {
	e.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			e.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// frameNumber reads a test card's number from a session's canvas.
func (e eye) frameNumber(session string) uint32 {
	e.t.Helper()
	e.waitLive(session)
	g := surface.Geometry{Width: capture.CodeWidth, Height: capture.CodeCell, Stride: capture.CodeWidth * surface.BytesPerPixel}
	head := viewertest.CanvasPart(e.t, e.page, session, image.Rect(0, 0, g.Width, g.Height))
	n, err := capture.ReadFrameNumber(head.Pix, g)
	if err != nil {
		e.t.Fatalf("session %s: %v", session, err)
	}
	return n
}

// waitNumberAbove waits until a test card's number is greater than n, which it
// may never fall below.
func (e eye) waitNumberAbove(session string, n uint32) (now uint32) {
	e.t.Helper()
	e.until(fmt.Sprintf("session %s is beyond frame %d", session, n), func() bool {
		if now = e.frameNumber(session); now < n {
			e.t.Fatalf("session %s went back from frame %d to %d", session, n, now)
		}
		return now > n
	})
	return now
}

// cardColour is what a session's test card is painted with.
func cardColour(session string) color.RGBA {
	r, g, b := capture.SessionColour(session)
	return color.RGBA{r, g, b, 255}
}

// onCard is a place on a test card that is its colour alone.
var onCard = image.Pt(100, 2*capture.HeadHeight)

// screenshot keeps the page's looks where PORTWARD_SCREENSHOTS says.
func (e eye) screenshot() {
	e.t.Helper()
	name := strings.ReplaceAll(e.t.Name(), "/", "-")
	if dir := os.Getenv("PORTWARD_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), viewertest.Screenshot(e.t, e.page), 0o600); err != nil {
			e.t.Error(err)
		}
	}
}

// The tests share one browser: it takes longer to start than the product.
func TestEyes(t *testing.T) {
	t.Parallel()
	browser := viewertest.Browser(t)
	for _, test := range []struct {
		name string
		run  func(t *testing.T, browser context.Context)
	}{
		{"testcard", seeTestcard},
		{"token", seeToken},
		{"static", seeStatic},
		{"x11", seeX11},
		{"x11-returns", seeServerReturn},
		{"x11-auto", seeAuto},
		{"x11-modes", seeModes},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, browser) })
	}
}

// asUsersOrOne is asUsers, and as uid alone where time is short.
func asUsersOrOne(t *testing.T, uid int, f func(t *testing.T, uid int)) {
	if testing.Short() && os.Geteuid() == 0 {
		f(t, uid)
		return
	}
	asUsers(t, f)
}

// Rules: the numbers of the test cards, read from the page's pixels, go on
// through a crash and a deadlock of netchild, and the page notices by itself:
// it is the same instance afterwards, and its timeline shows the lives.
func seeTestcard(t *testing.T, browser context.Context) {
	asUsersOrOne(t, ordinaryUID, func(t *testing.T, uid int) {
		r := startUp(t, upSpec{uid: uid, args: []string{"--source", "testcard", "--healthy", "200ms", "--hang", "1s"}})
		e := r.look(browser)
		if cardColour("1") == cardColour("2") {
			t.Error("two sessions have one colour")
		}
		numbers := map[string]uint32{"1": 0, "2": 0}
		see := func() {
			t.Helper()
			for id := range numbers {
				e.waitColour(id, onCard, cardColour(id))
				numbers[id] = e.waitNumberAbove(id, numbers[id])
				numbers[id] = e.waitNumberAbove(id, numbers[id])
			}
		}
		see()
		e.waitLife(1)
		for i, fault := range []string{"--crash", "--deadlock"} {
			r.poke("netchild", fault)
			e.waitLife(i + 2)
			see()
			e.sameInstance()
		}
		e.screenshot()
		checkLives(t, r.stop(), 3)
	})
}

// checkLives checks that netchild had n lives and each login a gap for each
// death, at least.
func checkLives(t *testing.T, rep report, n uint64) {
	t.Helper()
	for _, j := range rep.Jobs {
		if j.Label == string(netchildTarget) && j.Lives != n {
			t.Errorf("netchild had %d lives, want %d", j.Lives, n)
		}
	}
	for _, s := range rep.Sessions {
		if s.Frames == 0 || len(s.GapsMS) < int(n)-1 {
			t.Errorf("session %s: %d frames, gaps %v", s.ID, s.Frames, s.GapsMS)
		}
	}
}

// Rules: without the token, and with a wrong one, there is no picture and not
// even the name of a login, also after netchild's next life; whoever has the
// token sees, meanwhile.
func seeToken(t *testing.T, browser context.Context) {
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--healthy", "200ms"}})
	right := r.look(browser)
	right.waitLive("1", "2")
	address := r.pageAddress()
	none, token, _ := strings.Cut(address, "#")
	blind := map[string]eye{}
	for name, address := range map[string]string{
		"none":    none,
		"wrong":   none + "#" + strings.Repeat("A", len(token)),
		"shorter": address[:len(address)-1],
	} {
		e := eye{t, viewertest.OpenPage(t, browser, address)}
		viewertest.WaitStatus(t, e.page, "unauthorised")
		blind[name] = e
	}
	right.waitNumberAbove("1", right.frameNumber("1"))
	r.poke("netchild", "--crash")
	right.waitLife(2)
	right.waitLive("1", "2")
	for name, e := range blind {
		viewertest.WaitStatus(t, e.page, "unauthorised")
		if n := viewertest.Canvases(t, e.page); n != 0 {
			t.Errorf("token %s: %d canvases", name, n)
		}
		dom := viewertest.Eval[string](t, e.page, `document.documentElement.outerHTML`)
		for _, secret := range []string{"session-1", "session-2", "screen-", "Session 1", "Session 2", "life-", "login1"} {
			if strings.Contains(dom, secret) {
				t.Errorf("token %s: the page tells %q", name, secret)
			}
		}
	}
	r.stop()
	noToken(t, r, token)
}

// noToken checks that the viewer's token is in its own file and nowhere else:
// not in what up printed or reported, nor in any file below the root.
func noToken(t *testing.T, r *running, token string) {
	t.Helper()
	if strings.Contains(r.out.String()+r.errs.String(), token) {
		t.Error("up told the token to what is no terminal")
	}
	own := r.tokenPath()
	err := filepath.WalkDir(r.root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == own {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), token) {
			t.Errorf("the token is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if fi, err := os.Stat(own); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", fi, err)
	}
}

// Rules: a picture that never changes is shown to whoever comes late, before
// and after a death of netchild, and nobody takes stillness for a hang.
func seeStatic(t *testing.T, browser context.Context) {
	asUsersOrOne(t, 0, func(t *testing.T, uid int) {
		r := startUp(t, upSpec{uid: uid, args: []string{"--source", "static", "--healthy", "200ms", "--hang", "1s"}})
		r.await("both stream", streaming)
		early := r.look(browser)
		see := func(e eye) {
			t.Helper()
			for _, id := range []string{"1", "2"} {
				e.waitColour(id, onCard, cardColour(id))
				if n := e.frameNumber(id); n != 1 {
					t.Errorf("session %s shows frame %d of a static card", id, n)
				}
			}
		}
		see(early)
		r.poke("netchild", "--crash")
		r.await("both stream again", func(s snapshot) bool {
			return job(s, string(netchildTarget)).Life == 2 && streaming(s)
		})
		late := r.look(browser)
		late.waitLifeAlone(2)
		see(late)
		early.waitLife(2)
		see(early)
		early.sameInstance()
		checkLives(t, r.stop(), 2)
	})
}

// waitLifeAlone waits until the timeline shows life n and, as nobody told the
// page of others, no other.
func (e eye) waitLifeAlone(n int) {
	e.t.Helper()
	viewertest.WaitFor(e.t, e.page, fmt.Sprintf(`document.querySelectorAll("#lives li").length === 1 && document.getElementById("life-%d") !== null`, n))
}
