package capture

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
	"go.uber.org/goleak"

	"portward/internal/capture/capturetest"
	"portward/internal/surface"
)

// patience is for conditions on a slow machine; nothing is expected to need it.
const patience = 30 * time.Second

// checkLeaks fails the test if it leaves goroutines, sockets or memfds behind.
func checkLeaks(t *testing.T) {
	before, others := openFiles(t), goleak.IgnoreCurrent()
	t.Cleanup(func() {
		goleak.VerifyNone(t, others)
		eventually(t, "descriptors are left", func() bool { return openFiles(t) <= before })
	})
}

// openFiles counts this process's sockets and memfds.
func openFiles(t *testing.T) (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "/memfd:") {
			n++
		}
	}
	return n
}

func eventually(t *testing.T, otherwise string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}

// A painter is an ordinary X client that draws on the root window.
type painter struct {
	t    *testing.T
	conn *xgb.Conn
	root xproto.Drawable
	gc   xproto.Gcontext
}

// newPainter draws on the first screen, and hides the pointer there.
func newPainter(t *testing.T, x *capturetest.Server) *painter {
	t.Helper()
	p := newPainterOn(t, x, 0)
	p.hide()
	return p
}

func newPainterOn(t *testing.T, x *capturetest.Server, screen int) *painter {
	t.Helper()
	readyXGB()
	raw, err := net.Dial("unix", x.Socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	conn, err := xgb.NewConnNet(raw)
	if err != nil {
		t.Fatal(err)
	}
	p := &painter{t: t, conn: conn, root: xproto.Drawable(xproto.Setup(conn).Roots[screen].Root)}
	if p.gc, err = xproto.NewGcontextId(conn); err != nil {
		t.Fatal(err)
	}
	if err := xproto.CreateGCChecked(conn, p.gc, p.root, 0, nil).Check(); err != nil {
		t.Fatal(err)
	}
	return p
}

// paint fills a rectangle with 0xRRGGBB and answers when the server has done it.
func (p *painter) paint(r surface.Rect, rgb uint32) {
	p.t.Helper()
	xproto.ChangeGC(p.conn, p.gc, xproto.GcForeground, []uint32{rgb})
	rect := xproto.Rectangle{X: int16(r.X), Y: int16(r.Y), Width: uint16(r.W), Height: uint16(r.H)}
	if err := xproto.PolyFillRectangleChecked(p.conn, p.root, p.gc, []xproto.Rectangle{rect}).Check(); err != nil {
		p.t.Error(err)
	}
}

// picture is what the server shows, the slow way.
func (p *painter) picture(g surface.Geometry) []byte {
	p.t.Helper()
	r, err := xproto.GetImage(p.conn, xproto.ImageFormatZPixmap, p.root, 0, 0, uint16(g.Width), uint16(g.Height), ^uint32(0)).Reply()
	if err != nil {
		p.t.Error(err)
		return nil
	}
	return r.Data[:g.Size()]
}

// openScreen opens the display and binds a chain's buffers.
func openScreen(t *testing.T, display string) (*screen, []*surface.Buffer) {
	t.Helper()
	s, err := OpenX11(t.Context(), display)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	chain, err := surface.NewChain(s.Geometry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chain.Close() })
	if err := s.Bind(chain.Buffers()); err != nil {
		t.Fatal(err)
	}
	return s.(*screen), chain.Buffers()
}
