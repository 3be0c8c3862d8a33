package viewer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/hub"
	"portward/internal/surface"
	"portward/internal/viewer/viewertest"

	"github.com/coder/websocket"
)

// A pipe is a net.Listener of one connection in memory, in which nothing is
// buffered: what is written is taken, or waits.
type pipe struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *pipe) Accept() (net.Conn, error) {
	if c, ok := <-p.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p *pipe) Close() error   { p.once.Do(func() { close(p.conns) }); return nil }
func (p *pipe) Addr() net.Addr { return &net.TCPAddr{} }

// overLine serves one line and answers the client's end of it. talk's answer
// comes on the channel.
func overLine(t *testing.T, p patiences, talk func(ctx context.Context, l *line) error) (*websocket.Conn, <-chan error) {
	t.Helper()
	answer := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			answer <- err
			return
		}
		defer c.CloseNow()
		answer <- talk(c.CloseRead(context.Background()), &line{Conn: c, patience: p})
	})}
	l := &pipe{conns: make(chan net.Conn, 1)}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	ours, theirs := net.Pipe()
	l.conns <- theirs
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}
	c, _, err := websocket.Dial(t.Context(), "ws://viewer/", &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(-1)
	return c, answer
}

// Rule: a viewer that is slow, but takes something, gets a large message whole
// and is not taken for dead, though it needs many times as long as the longest
// wait for a piece of it, and for a ping.
func TestSlowViewerGetsLargePicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := patiences{write: 20 * time.Second, ping: 10 * time.Second}
		const size = 16*pieceBytes + 6
		c, answer := overLine(t, p, func(ctx context.Context, l *line) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() { defer cancel(); l.knock(ctx) }()
			return l.write(ctx, websocket.MessageBinary, hub.Message{make([]byte, 5), make([]byte, size-6), {7}})
		})
		_, r, err := c.Reader(t.Context())
		total := int64(0)
		for err == nil {
			var n int64
			n, err = io.CopyN(io.Discard, r, pieceBytes)
			total += n
			time.Sleep(p.write - time.Second)
		}
		if err != io.EOF || total != size {
			t.Errorf("%d bytes: %v", total, err)
		}
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}

// Rule: who takes nothing any more is let go in the middle of a message, and the
// error says why.
func TestLineGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := patiences{write: 20 * time.Second, ping: time.Hour}
		c, answer := overLine(t, p, func(ctx context.Context, l *line) error {
			return l.write(ctx, websocket.MessageBinary, hub.Message{make([]byte, 16*pieceBytes)})
		})
		_, r, err := c.Reader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, r, 3*pieceBytes); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if err := <-answer; !errors.Is(err, errTakesNothing) {
			t.Errorf("answer %v", err)
		}
		if d := time.Since(began); d != p.write {
			t.Errorf("let go after %v", d)
		}
	})
}

// What the page makes of a picture that came in bands, and in frames of a
// WebSocket message, is the picture.
func TestPageDecodesBands(t *testing.T) {
	browser := viewertest.Browser(t)
	st := play(t, "127.0.0.1:0", 1, selfSigned(t))
	const width, height = 1001, 1300 // 5 MB: three bands, and more than one piece
	bgrx, rgba := noise(3, width, height)
	enter(t, st, "1", width, height, func(pix []byte) { copy(pix, bgrx) })
	c := view(t, st.addr)
	c.SetReadLimit(1 << 26)
	m := c.update()
	if len(m) < 2*pieceBytes {
		t.Fatalf("only %d bytes", len(m))
	}
	page := viewertest.OpenPage(t, browser, "https://"+st.addr+"/")
	sum := fnv.New32a()
	_, _ = sum.Write(rgba)
	got := await(t, page, fmt.Sprintf(`import("/update.js").then((m) => {
		const u = m.readUpdate(Uint8Array.from(atob(%q), (c) => c.charCodeAt(0)).buffer);
		let h = 0x811c9dc5;
		for (const b of u.rects[0].pixels) h = Math.imul(h ^ b, 0x01000193);
		return u.rects.length + " " + (h >>> 0);
	})`, base64.StdEncoding.EncodeToString(m)))
	if want := fmt.Sprint("1 ", sum.Sum32()); got != want {
		t.Errorf("rectangles and sum %s, want %s", got, want)
	}
}

// The page shows a picture of several bands, every pixel of it, and changes of
// several bands in it.
func TestPageShowsBands(t *testing.T) {
	browser := viewertest.Browser(t)
	st := play(t, "127.0.0.1:0", 1, selfSigned(t))
	const width, height = 1001, 1300
	bgrx, rgba := noise(4, width, height)
	a := enter(t, st, "1", width, height, func(pix []byte) { copy(pix, bgrx) })
	page := viewertest.OpenPage(t, browser, Address(st.addr, testToken))
	viewertest.WaitDrawn(t, page, "1", 1)
	same(t, viewertest.CanvasPixels(t, page, "1").Pix, rgba)
	parts := surface.RegionOf(surface.Rect{W: 700, H: 800}, surface.Rect{X: 900, Y: 900, W: 101, H: 400})
	for i, r := range parts.Rects() {
		recolour(bgrx, width, r, []byte{1, 2, byte(i), 4})
		recolour(rgba, width, r, []byte{byte(i), 2, 1, 255})
	}
	seq := viewertest.Eval[uint32](t, page, `Number(document.getElementById("screen-1").dataset.seq)`)
	a.show(parts, func(pix []byte) { copy(pix, bgrx) })
	viewertest.WaitDrawn(t, page, "1", seq+1)
	same(t, viewertest.CanvasPixels(t, page, "1").Pix, rgba)
}
