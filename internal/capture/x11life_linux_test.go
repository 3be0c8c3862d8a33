package capture

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portward/internal/capture/capturetest"
	"portward/internal/surface"
)

// Rules: a server that dies is ErrGone to whoever waits; the display can be
// opened again as soon as a new server listens.
func TestX11ServerDies(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	name := filepath.Join(t.TempDir(), "X")
	if err := os.Symlink(x.Socket(), name); err != nil {
		t.Fatal(err)
	}
	s, buffers := openScreen(t, name)
	for slot := range buffers {
		mustFill(t, s, slot)
	}
	waited := make(chan error, 1)
	go func() { waited <- s.Wait(patient(t)) }()
	x.Stop(syscall.SIGKILL)
	if err := <-waited; !errors.Is(err, ErrGone) {
		t.Fatalf("Wait: %v", err)
	}
	s.Invalidate()
	if _, err := s.Fill(0); !errors.Is(err, ErrGone) {
		t.Errorf("Fill: %v", err)
	}
	if err := s.Bind(buffers); !errors.Is(err, ErrGone) {
		t.Errorf("Bind: %v", err)
	}
	s.Close()
	if _, err := OpenX11(t.Context(), name); !errors.Is(err, ErrGone) {
		t.Errorf("open without a server: %v", err)
	}
	if Answers(name) {
		t.Error("a dead server answers")
	}

	x = capturetest.Xvfb(t)
	os.Remove(name)
	if err := os.Symlink(x.Socket(), name); err != nil {
		t.Fatal(err)
	}
	if !Answers(name) {
		t.Error("the new server does not answer")
	}
	p := newPainter(t, x)
	p.paint(surface.Rect{W: 9, H: 9}, 0xabcdef)
	s, buffers = openScreen(t, name)
	if err := newViewer(s, buffers).follow(patient(t), p.picture(s.Geometry())); err != nil {
		t.Fatal(err)
	}
}

// Rule: death in the midst of a request is ErrGone as well, and no panic.
func TestX11ServerDiesWhileFilling(t *testing.T) {
	checkLeaks(t)
	for range 3 {
		x := capturetest.Xvfb(t)
		s, buffers := openScreen(t, x.Display)
		filled := make(chan error, 1)
		begun := make(chan struct{})
		go func() {
			for i := 0; ; i++ {
				s.Invalidate()
				if _, err := s.Fill(i % len(buffers)); err != nil {
					filled <- err
					return
				}
				if i == 5 {
					close(begun)
				}
			}
		}()
		select {
		case <-begun:
			x.Stop(syscall.SIGKILL)
			if err := <-filled; !errors.Is(err, ErrGone) {
				t.Errorf("Fill: %v", err)
			}
		case err := <-filled:
			t.Errorf("Fill of a server that lives: %v", err)
		}
		s.Close()
	}
}

// Rules: a server that stalls is not awaited for ever; neither Close nor the
// probe waits for it; ctx ends an open.
func TestX11ServerStalls(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	s, _ := openScreen(t, x.Display)
	closing, _ := openScreen(t, x.Display)
	x.Freeze()

	filled := make(chan error, 1)
	go func() {
		_, err := closing.Fill(0)
		filled <- err
	}()
	closing.Close()
	if err := <-filled; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Fill during Close: %v", err)
	}

	s.limit = 50 * time.Millisecond
	if _, err := s.Fill(0); !errors.Is(err, ErrGone) {
		t.Errorf("Fill: %v", err)
	}
	if err := s.Wait(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("Wait: %v", err)
	}
	start := time.Now()
	if Answers(x.Display) {
		t.Error("a stalled server answers")
	}
	if took := time.Since(start); took > probeWithin+patience/3 {
		t.Errorf("the probe took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := OpenX11(ctx, x.Display); !errors.Is(err, ErrGone) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open: %v", err)
	}
}

// Rule: a size that changes is ErrGeometry, and the display has the new one
// when it is opened again.
func TestX11GeometryChanges(t *testing.T) {
	checkLeaks(t)
	x := capturetest.Xvfb(t)
	s, buffers := openScreen(t, x.Display)
	filling, _ := openScreen(t, x.Display)
	for slot := range buffers {
		mustFill(t, s, slot)
	}
	x.Run("xrandr", "--newmode", "small", "16", "320", "336", "352", "400", "240", "250", "252", "262")
	x.Run("xrandr", "--addmode", "screen", "small")
	x.Run("xrandr", "--output", "screen", "--mode", "small")
	ctx := patient(t)
	var err error
	for err == nil {
		if err = s.Wait(ctx); err == nil {
			_, err = s.Fill(0)
		}
	}
	if !errors.Is(err, ErrGeometry) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := filling.Fill(0); !errors.Is(err, ErrGeometry) {
		t.Errorf("Fill of what is no more: %v", err)
	}
	again, _ := openScreen(t, x.Display)
	if g := again.Geometry(); g.Width != 320 || g.Height != 240 {
		t.Errorf("opened again: %v", g)
	}
	mustFill(t, again, 0)
}

// Rule: a server that asks for a cookie gets it from XAUTHORITY; without, its
// refusal is told, and it is not ErrGone.
func TestX11Cookie(t *testing.T) {
	checkLeaks(t)
	file := filepath.Join(t.TempDir(), "authority")
	if err := os.WriteFile(file, authFile(familyWild, "", "", cookieName, string(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	x := capturetest.Xvfb(t, "-auth", file)
	t.Setenv("XAUTHORITY", filepath.Join(t.TempDir(), "none"))
	if s, err := OpenX11(t.Context(), x.Display); err == nil {
		s.Close()
		t.Error("let in without a cookie")
	} else if errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("without a cookie: %v", err)
	}
	if Answers(x.Display) {
		t.Error("answers although it does not let us in")
	}
	t.Setenv("XAUTHORITY", file)
	if !Answers(x.Display) {
		t.Error("does not answer with the cookie")
	}
	s, _ := openScreen(t, x.Display)
	mustFill(t, s, 0)
}

// Rule: what cannot be captured is told, and is not ErrGone; a display that is
// not there is.
func TestX11OpenRefused(t *testing.T) {
	checkLeaks(t)
	for _, name := range []string{"", "example.org:0", ":x"} {
		if _, err := OpenX11(t.Context(), name); err == nil || errors.Is(err, ErrGone) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := OpenX11(t.Context(), "/nonexistent/X1"); !errors.Is(err, ErrGone) {
		t.Errorf("nobody there: %v", err)
	}
	for want, args := range map[string][]string{
		"MIT-SHM":  {"-extension", "MIT-SHM"},
		"DAMAGE":   {"-extension", "DAMAGE"},
		"depth 16": {"-screen", "0", "640x480x16"},
	} {
		x := capturetest.Xvfb(t, args...)
		if _, err := OpenX11(t.Context(), x.Display); err == nil || errors.Is(err, ErrGone) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	x := capturetest.Xvfb(t)
	if _, err := OpenX11(t.Context(), x.Display+".1"); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("a screen that is not there: %v", err)
	}
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer w.Close()
	s, err := OpenX11(t.Context(), x.Display)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	odd := &surface.Buffer{Pix: make([]byte, s.Geometry().Size()), File: pipe}
	if err := s.Bind([]*surface.Buffer{odd}); err == nil {
		t.Error("the server mapped a pipe")
	}
}
