//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"portward/bench/chain"
	"portward/internal/surface"
	"portward/internal/viewer"
)

// The picture, and the part of it that changes.
const (
	screenWidth, screenHeight = 1920, 1080
	changed, tile             = 320, 64

	drawnWithin = 30 * time.Second
	between     = 5 * time.Millisecond // from one change to the next: the hub takes 250 frames a second, and no screen shows more
)

// reporter tells the server each number that the canvas says it has drawn.
const reporter = `(() => {
	const canvas = document.getElementById("screen-1");
	const socket = new WebSocket("wss://" + location.host + "/drawn");
	socket.onopen = () => {
		const tell = () => socket.send(canvas.dataset.seq);
		new MutationObserver(tell).observe(canvas, { attributeFilter: ["data-seq"] });
		tell();
	};
	return true;
})()`

// draw samples how long it takes until a change of 320x320 pixels is drawn in a
// real browser, which says so itself.
func (o options) draw() error {
	ctx := context.Background()
	drawn := make(chan uint32, 1024)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	enter := ours
	if o.plain {
		enter = tiles
	}
	show, address, err := enter(ctx, o.dir, l, drawn)
	if err != nil {
		return err
	}
	page, stop, err := browse(ctx, o.dir)
	if err != nil {
		return err
	}
	defer stop()
	if err := watchPage(page, address); err != nil {
		return err
	}
	if err := until(drawn, 1); err != nil {
		return err
	}
	return serve(func() (time.Duration, error) {
		time.Sleep(between)
		began := time.Now()
		seq, err := show()
		if err != nil {
			return 0, err
		}
		err = until(drawn, seq)
		return time.Since(began), err
	})
}

// watchPage opens the page, waits for its first picture and has it report.
func watchPage(page context.Context, address string) error {
	const shows = `document.getElementById("screen-1") !== null && "seq" in document.getElementById("screen-1").dataset`
	if err := chromedp.Do(page, chromedp.Navigate(address)); err != nil {
		return err
	}
	if _, err := chromedp.Run(page, chromedp.Poll[bool](shows)); err != nil {
		return err
	}
	_, err := chromedp.Run(page, chromedp.Evaluate[bool](reporter))
	return err
}

// until waits for the browser to have drawn number seq.
func until(drawn <-chan uint32, seq uint32) error {
	timer := time.NewTimer(drawnWithin)
	defer timer.Stop()
	for {
		select {
		case got := <-drawn:
			if got >= seq {
				return nil
			}
		case <-timer.C:
			return fmt.Errorf("%d was not drawn within %v", seq, drawnWithin)
		}
	}
}

// browse starts a Chromium of our own and a page in it.
func browse(ctx context.Context, dir string) (context.Context, func(), error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(dir+"/profile"), chromedp.Env("HOME="+dir, "TMPDIR="+dir),
		chromedp.WindowSize(screenWidth, screenHeight), chromedp.IgnoreCertErrors, chromedp.DisableGPU)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancel := chromedp.NewContext(ctx)
	stop := func() { cancel(); end() }
	if err := chromedp.Do(ctx); err != nil {
		stop()
		return nil, nil, err
	}
	return ctx, stop, nil
}

// hearing answers what the page reports before it comes to h.
func hearing(h http.Handler, drawn chan<- uint32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/drawn" {
			h.ServeHTTP(w, r)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for {
			_, text, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if n, err := strconv.ParseUint(string(text), 10, 32); err == nil {
				drawn <- uint32(n)
			}
		}
	})
}

// A shower changes a part of the picture and answers the number of that frame.
type shower func() (uint32, error)

// ours is our hub and viewer, with an agent in the same process.
func ours(ctx context.Context, dir string, l net.Listener, drawn chan<- uint32) (shower, string, error) {
	st, err := play(ctx, dir, l, func(h http.Handler) http.Handler { return hearing(h, drawn) })
	if err != nil {
		return nil, "", err
	}
	g := geometry(screenWidth, screenHeight)
	c, files, err := chain.New(g, nil)
	if err != nil {
		return nil, "", err
	}
	owned, err := duplicates(files)
	if err != nil {
		return nil, "", err
	}
	sink, err := chain.Open(g, owned)
	if err != nil {
		return nil, "", err
	}
	var seq uint32
	show := func(r surface.Rect) (uint32, error) {
		b, err := c.Acquire(ctx)
		if err != nil {
			return 0, err
		}
		seq++
		paint(b.Pix, g.Stride, r, seq)
		return seq, c.Submit(b, surface.RegionOf(r))
	}
	if _, err := st.hub.Attach(ctx, "1", sink, func() { show(g.Bounds()) }); err != nil {
		return nil, "", err
	}
	return func() (uint32, error) { return show(spot(seq)) }, viewer.Address(st.addr, token), nil
}

// duplicates are descriptors that a sink may own.
func duplicates(files []*os.File) ([]*os.File, error) {
	var own []*os.File
	for _, f := range files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, err
		}
		own = append(own, os.NewFile(uintptr(fd), f.Name()))
	}
	return own, nil
}

// spot is where the picture changes next, on the tiles' grid.
func spot(n uint32) surface.Rect {
	x, y := int(n)%20*tile, int(n)%10*tile
	return surface.Rect{X: x, Y: y, W: changed, H: changed}
}

// paint draws what looks like windows and text: flat, with lines in it.
func paint(pix []byte, stride int, r surface.Rect, n uint32) {
	for y := r.Y; y < r.Y+r.H; y++ {
		row := pix[y*stride+r.X*4 : y*stride+(r.X+r.W)*4]
		for x := 0; x < len(row); x += 4 {
			colour := 0xfff8f4f0 ^ n<<4
			if y%16 < 10 && (x/4*7+y*3)%11 < 3 {
				colour = 0xff403830
			}
			binary.LittleEndian.PutUint32(row[x:], colour)
		}
	}
}
