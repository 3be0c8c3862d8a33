package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"testing"

	"portward/internal/capture/capturetest"
	"portward/internal/viewer/viewertest"
)

// ground paints the root window of a screen.
func ground(x *capturetest.Server, screen int, c color.RGBA) {
	x.Run("xsetroot", "-display", fmt.Sprintf("%s.%d", x.Display, screen), "-solid", hex(c))
}

// waitSize waits until a session's canvas has that size.
func (e eye) waitSize(session string, width, height int) {
	e.t.Helper()
	viewertest.WaitFor(e.t, e.page, fmt.Sprintf(`document.getElementById("screen-"+%q)?.width === %d && document.getElementById("screen-"+%q).height === %d`,
		session, width, session, height))
}

// Rules: the X server that runs on people's machines may change its mode as often as
// it likes, to larger and smaller ones: each is seen whole, on the same page, and
// the other login is not concerned. Each screen of a display is a picture of its own,
// before and after a crash.
func seeModes(t *testing.T, browser context.Context) {
	x := capturetest.Xorg(t, "-ac")
	two := capturetest.Xvfb(t, "-ac", "-screen", "1", "400x300x24")
	ground(x, 0, blue)
	ground(two, 0, green)
	ground(two, 1, brown)
	r := startUp(t, upSpec{args: []string{"--displays", x.Display + "," + two.Display, "--healthy", "200ms"}})
	e := r.look(browser)
	e.waitSize("2.1", 400, 300)
	for i, size := range []image.Point{{1024, 768}, {640, 480}, {1920, 1080}, {800, 600}} {
		x.Mode(size.X, size.Y)
		e.waitSize("1", size.X, size.Y)
		c := []color.RGBA{purple, grey}[i%2]
		ground(x, 0, c)
		e.waitColour("1", size.Sub(image.Pt(1, 1)), c)
		e.waitColour("1", image.Pt(3, 3), c)
	}
	seeOthers := func() {
		e.waitColour("2", onGround, green)
		e.waitColour("2.1", image.Pt(390, 290), brown)
	}
	seeOthers()
	r.poke("netchild", "--crash")
	e.waitLife(2)
	seeOthers()
	ground(two, 1, cream)
	e.waitColour("2.1", image.Pt(390, 290), cream)
	e.waitColour("1", image.Pt(799, 599), grey)
	e.sameInstance()
	e.screenshot()
	checkLives(t, r.stop(), 2)
}
