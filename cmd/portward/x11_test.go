package main

import (
	"bufio"
	"context"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portward/internal/program"
	"portward/internal/viewer/viewertest"
)

// An xserver is a real X server of the test's own.
type xserver struct {
	t       *testing.T
	cmd     *exec.Cmd
	display string
}

// startXvfb starts a server that lets every user in, on the display of that
// name or, without one, on a free one.
func startXvfb(t *testing.T, display string) *xserver {
	t.Helper()
	args := []string{"-displayfd", "3", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset", "-br", "-ac"}
	if display != "" {
		args = append([]string{display}, args...)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	x := &xserver{t: t, cmd: exec.Command(need(t, "Xvfb"), args...)}
	x.cmd.ExtraFiles = []*os.File{w}
	err = x.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.stop)
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb %s names no display: %v", display, err)
	}
	x.display = ":" + strings.TrimSpace(line)
	return x
}

// need answers the path of a program that is no part of ours.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("needs " + name)
	}
	return path
}

// stop ends the server in order: it removes its socket.
func (x *xserver) stop() {
	x.cmd.Process.Signal(syscall.SIGCONT)
	x.cmd.Process.Signal(syscall.SIGTERM)
	x.cmd.Wait()
}

// kill ends a server on an unusedDisplay without a word, and removes what it
// leaves.
func (x *xserver) kill() {
	x.cmd.Process.Kill()
	x.cmd.Wait()
	os.Remove(socketOf(x.display))
}

func socketOf(display string) string { return "/tmp/.X11-unix/X" + display[1:] }

// unusedDisplay answers a display that no server has and that none chooses by
// itself: these begin at :0.
func unusedDisplay() string {
	for {
		display := fmt.Sprintf(":%d", 10000+rand.IntN(40000))
		if _, err := os.Stat(socketOf(display)); err != nil {
			return display
		}
	}
}

// client starts an X client; it ends with the test or with the returned
// function.
func (x *xserver) client(name string, args ...string) (end func()) {
	x.t.Helper()
	cmd := exec.Command(need(x.t, name), append([]string{"-display", x.display}, args...)...)
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	end = func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	x.t.Cleanup(end)
	return end
}

// do runs a client to its end.
func (x *xserver) do(name string, args ...string) {
	x.t.Helper()
	out, err := exec.Command(need(x.t, name), append([]string{"-display", x.display}, args...)...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// ground paints the root window.
func (x *xserver) ground(c color.RGBA) { x.do("xsetroot", "-solid", hex(c)) }

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

var (
	blue   = color.RGBA{0x20, 0x40, 0x80, 255}
	green  = color.RGBA{0x10, 0x60, 0x28, 255}
	brown  = color.RGBA{0x70, 0x38, 0x10, 255}
	purple = color.RGBA{0x58, 0x18, 0x68, 255}
	grey   = color.RGBA{0x47, 0x48, 0x49, 255}
	cream  = color.RGBA{0xf4, 0xec, 0xd8, 255}
	red    = color.RGBA{0xd0, 0x20, 0x18, 255}
)

// Where the clients are on a 640x480 screen, and where there is only ground.
var (
	onGround = image.Pt(600, 440)
	clock    = image.Rect(20, 20, 220, 220)
	logo     = image.Rect(260, 40, 420, 200)
	moved    = image.Rect(260, 260, 420, 420)
)

func geometry(r image.Rectangle) string {
	return fmt.Sprintf("%dx%d+%d+%d", r.Dx(), r.Dy(), r.Min.X, r.Min.Y)
}

// A desk is a server with clients that move and that stand still.
type desk struct {
	*xserver
	endLogo func()
}

func furnishedDesk(x *xserver, c color.RGBA) *desk {
	x.t.Helper()
	x.ground(c)
	x.client("xclock", "-analog", "-update", "1", "-bg", hex(cream), "-geometry", geometry(clock))
	d := &desk{xserver: x}
	d.placeLogo(logo)
	return d
}

func (d *desk) placeLogo(at image.Rectangle) {
	d.t.Helper()
	if d.endLogo != nil {
		d.endLogo()
	}
	d.endLogo = d.client("xlogo", "-bg", hex(cream), "-fg", hex(red), "-bw", "0", "-geometry", geometry(at))
}

// waitLogo waits until a session shows the logo there: the window's own ground
// at the middle of its left edge, and its ink on the diagonal.
func (e eye) waitLogo(session string, at image.Rectangle) {
	e.t.Helper()
	e.waitColour(session, image.Pt(at.Min.X+5, (at.Min.Y+at.Max.Y)/2), cream)
	e.until("the logo is inked", func() bool {
		return count(viewertest.CanvasPart(e.t, e.page, session, at), red) > at.Dx()*at.Dy()/10
	})
}

func count(m *image.RGBA, c color.RGBA) (n int) {
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		for x := m.Rect.Min.X; x < m.Rect.Max.X; x++ {
			if m.RGBAAt(x, y) == c {
				n++
			}
		}
	}
	return n
}

// Rules: two logins on two real X servers with real clients are seen on the
// page, each in its own place; what clients and people change there changes on
// the page, before and after a crash of netchild, through which the page, never
// loaded again, comes by itself; a screen that changes its size is seen whole.
func seeX11(t *testing.T, browser context.Context) {
	asUsersOrOne(t, ordinaryUID, func(t *testing.T, uid int) {
		a := furnishedDesk(startXvfb(t, ""), blue)
		b := furnishedDesk(startXvfb(t, ""), green)
		r := startUp(t, upSpec{uid: uid, args: []string{"--displays", a.display + "," + b.display, "--healthy", "200ms"}})
		e := r.look(browser)
		e.waitColour("1", onGround, blue)
		e.waitColour("2", onGround, green)
		e.waitLogo("1", logo)
		e.waitLogo("2", logo)
		e.waitChange(clock, "1", "2")
		a.ground(brown)
		b.placeLogo(moved)
		e.waitColour("1", onGround, brown)
		e.waitLogo("2", moved)
		e.waitColour("2", logo.Min.Add(image.Pt(5, 80)), green)

		r.poke("netchild", "--crash")
		e.waitLife(2)
		e.waitColour("1", onGround, brown)
		e.waitLogo("2", moved)
		b.ground(purple)
		a.placeLogo(moved)
		e.waitColour("2", onGround, purple)
		e.waitLogo("1", moved)
		e.waitChange(clock, "1", "2")
		e.sameInstance()
		e.screenshot()

		if size := viewertest.CanvasPixels(t, e.page, "2").Rect; size != image.Rect(0, 0, 640, 480) {
			t.Errorf("the canvas is %v", size)
		}
		b.do("xrandr", "--newmode", "small", "16", "320", "336", "352", "400", "240", "250", "252", "262")
		b.do("xrandr", "--addmode", "screen", "small")
		b.do("xrandr", "--output", "screen", "--mode", "small")
		viewertest.WaitFor(t, e.page, `document.getElementById("screen-2")?.width === 320 && document.getElementById("screen-2").height === 240`)
		b.ground(grey)
		e.waitColour("2", image.Pt(310, 230), grey)
		e.waitColour("1", onGround, brown)
		checkLives(t, r.stop(), 2)
	})
}

// Rules: an X server that goes away and comes back on its display streams
// again, as often as it does; its login alone is concerned, and no process
// dies of it.
func seeServerReturn(t *testing.T, browser context.Context) {
	colours := []color.RGBA{brown, purple}
	if testing.Short() {
		colours = colours[:1]
	}
	display := unusedDisplay()
	x := startXvfb(t, display)
	x.ground(blue)
	other := furnishedDesk(startXvfb(t, ""), green)
	r := startUp(t, upSpec{args: []string{"--displays", display + "," + other.display}})
	e := r.look(browser)
	e.waitColour("1", onGround, blue)
	e.waitColour("2", onGround, green)
	for _, c := range colours {
		x.kill()
		r.await("the login's gap is open", func(s snapshot) bool { return session(s, "1").Broken })
		viewertest.WaitFor(t, e.page, `document.getElementById("session-1")?.dataset.state !== "live"`)
		e.waitChange(clock, "2")
		x = startXvfb(t, display)
		x.ground(c)
		e.waitColour("1", onGround, c)
		x.ground(grey)
		e.waitColour("1", onGround, grey)
	}
	e.waitColour("2", onGround, green)
	e.sameInstance()
	rep := r.stop()
	for _, j := range rep.Jobs {
		if j.Lives != 1 {
			t.Errorf("%s had %d lives", j.Label, j.Lives)
		}
	}
	if n := len(rep.Sessions[0].GapsMS); n != len(colours) {
		t.Errorf("the login whose server went %d times has %d gaps", len(colours), n)
	}
	if n := len(rep.Sessions[1].GapsMS); n != 0 {
		t.Errorf("the other login has %d gaps", n)
	}
}

// Rules: a display that does not answer is told by name; its login waits for
// it, the others do not; up then exits as one that did not show every login.
// As soon as a server answers, its login streams.
func TestX11NoServer(t *testing.T) {
	t.Parallel()
	x := startXvfb(t, "")
	x.ground(blue)
	display := unusedDisplay()
	r := startUp(t, upSpec{args: []string{"--displays", display + "," + x.display}})
	r.await("the other login streams", func(s snapshot) bool { return session(s, "2").Frames > 0 })
	if s, err := r.status(); err != nil || session(s, "1").Frames != 0 {
		t.Errorf("the login without a server: %+v, %v", session(s, "1"), err)
	}
	if want := "display " + display + " does not answer; login 1"; !strings.Contains(r.errs.String(), want) {
		t.Errorf("up does not say %q:\n%s", want, r.errs)
	}
	if log := agentLog(t, r, "1"); !strings.Contains(log, "display "+display) {
		t.Errorf("the login's log does not name the display: %s", log)
	}
	startXvfb(t, display)
	r.await("the login streams", func(s snapshot) bool { return session(s, "1").Frames > 0 })
	rep := r.stop()
	for _, j := range rep.Jobs {
		if j.Lives != 1 {
			t.Errorf("%s had %d lives", j.Label, j.Lives)
		}
	}
}

// Rule: the exit tells that a login never streamed, and the words which.
func TestX11NeverAnswers(t *testing.T) {
	t.Parallel()
	display := unusedDisplay()
	asUsers(t, func(t *testing.T, uid int) {
		r := startUp(t, upSpec{uid: uid, args: []string{"--sessions", "1", "--displays", display, "--for", "2s"}})
		rep := r.finish(program.ExitAgain)
		if len(rep.Sessions) != 1 || rep.Sessions[0].Frames != 0 {
			t.Errorf("sessions: %+v", rep.Sessions)
		}
		for _, want := range []string{"display " + display + " does not answer; login 1", "not every login streamed: 1", "hint:"} {
			if !strings.Contains(r.errs.String(), want) {
				t.Errorf("up does not say %q:\n%s", want, r.errs)
			}
		}
	})
}

// Rules: auto shows X11 where DISPLAY answers and the test card where it does
// not, and says so; --source x11 without any display is an error with a hint.
func seeAuto(t *testing.T, browser context.Context) {
	x := startXvfb(t, "")
	x.ground(purple)
	r := startUp(t, upSpec{env: []string{"DISPLAY=" + x.display}, args: []string{"--sessions", "1"}})
	r.look(browser).waitColour("1", onGround, purple)
	r.stop()

	display := unusedDisplay()
	r = startUp(t, upSpec{env: []string{"DISPLAY=" + display}, args: []string{"--sessions", "1"}})
	r.look(browser).waitColour("1", onCard, cardColour("1"))
	if want := "display " + display + " does not answer; login 1 shows the test card"; !strings.Contains(r.errs.String(), want) {
		t.Errorf("up does not say %q:\n%s", want, r.errs)
	}
	r.stop()

	r = startUp(t, upSpec{args: []string{"--source", "x11"}})
	if <-r.done; r.cmd.ProcessState.ExitCode() == 0 || !strings.Contains(r.errs.String(), "hint: set DISPLAY or give --displays") {
		t.Errorf("--source x11 without a display: exit %d: %s", r.cmd.ProcessState.ExitCode(), r.errs)
	}
}

// Rule: a server that falls silent while its login's picture is asked for is no
// hang of the agent's, which lives on and streams again when the server does.
func TestX11ServerStalls(t *testing.T) {
	t.Parallel()
	x := startXvfb(t, "")
	x.ground(blue)
	r := startUp(t, upSpec{args: []string{"--displays", x.display, "--healthy", "200ms"}})
	r.await("it streams", streaming)
	x.cmd.Process.Signal(syscall.SIGSTOP)
	r.poke("netchild", "--crash") // its next life asks for the whole picture
	r.await("the agent gives the server up", func(snapshot) bool {
		return strings.Contains(agentLog(t, r, "1"), "display: display is gone")
	})
	before := session(r.await("netchild lives again", func(s snapshot) bool { return job(s, string(netchildTarget)).Life == 2 }), "1")
	x.cmd.Process.Signal(syscall.SIGCONT)
	r.await("it streams again", func(s snapshot) bool { return session(s, "1").Frames > before.Frames && streaming(s) })
	for _, j := range r.stop().Jobs {
		if j.Label == string(agentTarget("1")) && j.Lives != 1 {
			t.Errorf("the agent had %d lives:\n%s", j.Lives, r.explain())
		}
	}
}

// agentLog answers what a login's agent wrote.
func agentLog(t *testing.T, r *running, session string) string {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(r.root, "log", "gui."+session+".*"))
	if len(names) != 1 {
		t.Fatalf("the logs of login %s: %v", session, names)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
