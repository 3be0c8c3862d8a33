package capture

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portward/internal/surface"
)

// A viewer sees nothing but the rectangles that Fill answers.
type viewer struct {
	s       *screen
	buffers []*surface.Buffer
	seen    []byte
}

func newViewer(s *screen, buffers []*surface.Buffer) *viewer {
	return &viewer{s, buffers, make([]byte, s.Geometry().Size())}
}

// look fills the slot and takes over what changed.
func (v *viewer) look(slot int) error {
	dirty, err := v.s.Fill(slot)
	if err == nil {
		copyRect(v.seen, v.buffers[slot].Pix, v.s.Geometry(), dirty)
	}
	return err
}

// follow looks, at slots in turn, until it sees want.
func (v *viewer) follow(ctx context.Context, want []byte) error {
	for slot := 0; !bytes.Equal(v.seen, want); slot = (slot + 1) % len(v.buffers) {
		if err := v.s.Wait(ctx); err != nil {
			return err
		}
		if err := v.look(slot); err != nil {
			return err
		}
	}
	return nil
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Rules: real pixels arrive in every slot's memfd; the rectangles make the
// picture; a slot filled late is whole.
func TestX11Pixels(t *testing.T) {
	checkLeaks(t)
	x := startXvfb(t)
	p := newPainter(t, x)
	p.paint(surface.Rect{X: 5, Y: 6, W: 7, H: 8}, 0x123456) // before anybody looks
	s, buffers := openScreen(t, x.display())
	if g, want := s.Geometry(), (surface.Geometry{Width: 640, Height: 480, Stride: 2560, Format: surface.FormatBGRX}); g != want {
		t.Fatalf("geometry %v", g)
	}
	v := newViewer(s, buffers)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		for range r.IntN(5) {
			p.paint(surface.Rect{X: r.IntN(700) - 30, Y: r.IntN(500) - 10, W: 1 + r.IntN(90), H: 1 + r.IntN(40)}, r.Uint32()&0xffffff)
		}
		want := p.picture(s.Geometry())
		if err := v.follow(patient(t), want); err != nil {
			t.Fatal(err)
		}
		slot := r.IntN(len(buffers))
		if err := v.look(slot); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(buffers[slot].Pix, want) {
			t.Fatalf("slot %d is not what the server shows", slot)
		}
	}
}

// Rule: blue is the first byte, as FormatBGRX says.
func TestX11ByteOrder(t *testing.T) {
	checkLeaks(t)
	x := startXvfb(t)
	newPainter(t, x).paint(surface.Rect{X: 10, Y: 20, W: 1, H: 1}, 0x112233)
	s, buffers := openScreen(t, x.display())
	mustFill(t, s, 1)
	at := 20*s.Geometry().Stride + 10*4
	if got := buffers[1].Pix[at-4 : at+8]; !bytes.Equal(got[4:7], []byte{0x33, 0x22, 0x11}) || got[0] != 0 || got[8] != 0 {
		t.Errorf("around the pixel: % x", got)
	}
}

// Rules: only what changed is reported and fetched; a still screen keeps Wait
// waiting; Invalidate wakes it with the whole.
func TestX11ChangesOnly(t *testing.T) {
	checkLeaks(t)
	x := startXvfb(t)
	p := newPainter(t, x)
	s, buffers := openScreen(t, x.display())
	for slot := range buffers {
		mustFill(t, s, slot)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("nothing changed: %v", err)
	}
	clear(buffers[0].Pix)
	changed := surface.Rect{X: 100, Y: 200, W: 30, H: 40}
	p.paint(changed, 0xffffff)
	if err := s.Wait(patient(t)); err != nil {
		t.Fatal(err)
	}
	if dirty := mustFill(t, s, 0); dirty != changed {
		t.Errorf("dirty %v, want %v", dirty, changed)
	}
	fetched := func(y int) bool { row := buffers[0].Pix[y*2560:]; return row[100*4] != 0 }
	if fetched(199) || !fetched(200) || !fetched(239) || fetched(240) {
		t.Error("the rows 200 to 239 are not what was fetched")
	}
	s.Invalidate()
	if err := s.Wait(patient(t)); err != nil {
		t.Fatal(err)
	}
	if dirty := mustFill(t, s, 0); dirty != s.Geometry().Bounds() {
		t.Errorf("after Invalidate: %v", dirty)
	}
}

// Rule: a source can be given other buffers; the old ones are left alone.
func TestX11BindAgain(t *testing.T) {
	checkLeaks(t)
	x := startXvfb(t)
	p := newPainter(t, x)
	s, old := openScreen(t, x.display())
	mustFill(t, s, 0)
	chain, err := surface.NewChain(s.Geometry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chain.Close() })
	if err := s.Bind(chain.Buffers()); err != nil {
		t.Fatal(err)
	}
	p.paint(s.Geometry().Bounds(), 0x808080)
	if dirty := mustFill(t, s, 0); dirty != s.Geometry().Bounds() {
		t.Errorf("dirty %v", dirty)
	}
	if !bytes.Equal(chain.Buffers()[0].Pix, p.picture(s.Geometry())) || old[0].Pix[0] != 0 {
		t.Error("the picture is not in the new buffers alone")
	}
}

// Rules: a server that dies is ErrGone to whoever waits; the display can be
// opened again as soon as a new server listens.
func TestX11ServerDies(t *testing.T) {
	checkLeaks(t)
	x := startXvfb(t)
	name := filepath.Join(t.TempDir(), "X")
	if err := os.Symlink(x.socket(), name); err != nil {
		t.Fatal(err)
	}
	s, buffers := openScreen(t, name)
	for slot := range buffers {
		mustFill(t, s, slot)
	}
	waited := make(chan error, 1)
	go func() { waited <- s.Wait(patient(t)) }()
	x.stop(syscall.SIGKILL)
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

	x = startXvfb(t)
	os.Remove(name)
	if err := os.Symlink(x.socket(), name); err != nil {
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
		x := startXvfb(t)
		s, buffers := openScreen(t, x.display())
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
			x.stop(syscall.SIGKILL)
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
	x := startXvfb(t)
	s, _ := openScreen(t, x.display())
	closing, _ := openScreen(t, x.display())
	x.freeze()

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
	if Answers(x.display()) {
		t.Error("a stalled server answers")
	}
	if took := time.Since(start); took > probeWithin+patience/3 {
		t.Errorf("the probe took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := OpenX11(ctx, x.display()); !errors.Is(err, ErrGone) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open: %v", err)
	}
}

// Rule: a size that changes is ErrGeometry, and the display has the new one
// when it is opened again.
func TestX11GeometryChanges(t *testing.T) {
	xrandr, err := exec.LookPath("xrandr")
	if err != nil {
		t.Skip("needs xrandr")
	}
	checkLeaks(t)
	x := startXvfb(t)
	s, buffers := openScreen(t, x.display())
	filling, _ := openScreen(t, x.display())
	for slot := range buffers {
		mustFill(t, s, slot)
	}
	x.run(t, xrandr, "--newmode", "small", "16", "320", "336", "352", "400", "240", "250", "252", "262")
	x.run(t, xrandr, "--addmode", "screen", "small")
	x.run(t, xrandr, "--output", "screen", "--mode", "small")
	ctx := patient(t)
	for err = nil; err == nil; {
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
	again, _ := openScreen(t, x.display())
	if g := again.Geometry(); g.Width != 320 || g.Height != 240 {
		t.Errorf("opened again: %v", g)
	}
	mustFill(t, again, 0)
}

// Rule: servers with codes of their own for the same extensions are captured
// side by side, each with its own pixels.
func TestX11ThreeAtOnce(t *testing.T) {
	checkLeaks(t)
	var all sync.WaitGroup
	for i, args := range [][]string{nil, {"-extension", "RANDR"}, {"-extension", "RENDER"}} {
		x := startXvfb(t, args...)
		p := newPainter(t, x)
		all.Go(func() {
			s, err := OpenX11(t.Context(), x.display())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			chain, err := surface.NewChain(s.Geometry())
			if err != nil {
				t.Error(err)
				return
			}
			defer chain.Close()
			if err := s.Bind(chain.Buffers()); err != nil {
				t.Error(err)
				return
			}
			v := newViewer(s.(*screen), chain.Buffers())
			for n := range 10 {
				p.paint(surface.Rect{X: 20 * n, Y: 30 * i, W: 50, H: 60}, uint32(i+1)*0x202020+uint32(n))
				if err := v.follow(patient(t), p.picture(s.Geometry())); err != nil {
					t.Errorf("server %d, round %d: %v", i, n, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Rule: a flood of drawing is merged: at most sixty answers a second, whatever
// the machine.
func TestX11Pace(t *testing.T) {
	checkLeaks(t)
	x := startXvfb(t)
	s, _ := openScreen(t, x.display())
	start := time.Now()
	const rounds = 12
	for range rounds {
		s.Invalidate()
		if err := s.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustFill(t, s, 0)
	}
	if took := time.Since(start); took < (rounds-1)*pace {
		t.Errorf("%d rounds took %v", rounds, took)
	}
}

// Rule: a server that asks for a cookie gets it from XAUTHORITY; without, its
// refusal is told, and it is not ErrGone.
func TestX11Cookie(t *testing.T) {
	checkLeaks(t)
	file := filepath.Join(t.TempDir(), "authority")
	if err := os.WriteFile(file, authFile(familyWild, "", "", cookieName, string(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	x := startXvfb(t, "-auth", file)
	t.Setenv("XAUTHORITY", filepath.Join(t.TempDir(), "none"))
	if s, err := OpenX11(t.Context(), x.display()); err == nil {
		s.Close()
		t.Error("let in without a cookie")
	} else if errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("without a cookie: %v", err)
	}
	if Answers(x.display()) {
		t.Error("answers although it does not let us in")
	}
	t.Setenv("XAUTHORITY", file)
	if !Answers(x.display()) {
		t.Error("does not answer with the cookie")
	}
	s, _ := openScreen(t, x.display())
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
		x := startXvfb(t, args...)
		if _, err := OpenX11(t.Context(), x.display()); err == nil || errors.Is(err, ErrGone) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	x := startXvfb(t)
	if _, err := OpenX11(t.Context(), x.display()+".1"); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("a screen that is not there: %v", err)
	}
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer w.Close()
	s, err := OpenX11(t.Context(), x.display())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	odd := &surface.Buffer{Pix: make([]byte, s.Geometry().Size()), File: pipe}
	if err := s.Bind([]*surface.Buffer{odd}); err == nil {
		t.Error("the server mapped a pipe")
	}
}
