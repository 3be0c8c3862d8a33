//go:build darwin || standin

package surface_test

import (
	"encoding/binary"
	"testing"

	"portward/internal/macos"
	"portward/internal/surface"
	"portward/internal/surface/surfacetest"
)

// The suite for relays over IOSurfaces, with handles that stay in the process.
func TestIOSurfaceRelayRetained(t *testing.T) {
	checkLive(t)
	surfacetest.TestRelay(t, surfacetest.Way{Platform: surface.IOSurfaces(), Pass: retained, Draw: drawIOSurface})
}

// The same, with handles that travel in a message.
func TestIOSurfaceRelaySent(t *testing.T) {
	checkLive(t)
	p := newPost(t)
	surfacetest.TestRelay(t, surfacetest.Way{Platform: surface.IOSurfaces(), Pass: p.pass, Draw: drawIOSurface})
}

// An ioDrawing is a surface as another library makes one.
type ioDrawing struct {
	t    testing.TB
	ref  macos.Ref
	size int
}

func drawIOSurface(t testing.TB, g surface.Geometry) surfacetest.Drawing {
	t.Helper()
	ref, err := macos.IOSurfaceCreate(macos.IOSurfaceLayout{
		Width: uint64(g.Width), Height: uint64(g.Height), BytesPerRow: uint64(g.Stride),
		BytesPerElement: 4, ElementWidth: 1, ElementHeight: 1,
		AllocSize: uint64(g.Size()), PixelFormat: 'B'<<24 | 'G'<<16 | 'R'<<8 | 'A',
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { macos.CFRelease(ref) })
	if got, err := surface.IOSurfaceGeometry(ref); got != g || err != nil {
		t.Fatalf("it is %v, %v", got, err)
	}
	return ioDrawing{t, ref, g.Size()}
}

func (d ioDrawing) Paint(mark uint32) {
	pix, err := macos.IOSurfaceLock(d.ref, 0, d.size)
	if err != nil {
		d.t.Error(err)
		return
	}
	binary.LittleEndian.PutUint32(pix, mark)
	macos.IOSurfaceUnlock(d.ref, 0)
}

func (d ioDrawing) Lend(release func()) surface.Lent { return surface.LendIOSurface(d.ref, release) }

// Rule: what another library draws is taken as it is, or refused with a reason,
// whatever it says of itself.
func TestIOSurfaceGeometryOfOthers(t *testing.T) {
	checkLive(t)
	of := func(w, h, stride, elem uint64, format uint32) error {
		ref, err := macos.IOSurfaceCreate(macos.IOSurfaceLayout{
			Width: w, Height: h, BytesPerRow: stride, BytesPerElement: elem, ElementWidth: 1, ElementHeight: 1,
			AllocSize: h * stride, PixelFormat: format,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer macos.CFRelease(ref)
		g, err := surface.IOSurfaceGeometry(ref)
		if err == nil && (g.Width != int(w) || g.Height != int(h) || g.Stride != int(stride)) {
			t.Errorf("%v", g)
		}
		return err
	}
	const bgra = 'B'<<24 | 'G'<<16 | 'R'<<8 | 'A'
	if err := of(100, 10, 448, 4, bgra); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"another format": of(100, 10, 448, 4, 'l'<<24|'1'<<16|'0'<<8|'r'),
		"eight bytes":    of(100, 10, 832, 8, bgra),
		"too wide":       of(16385, 1, 65600, 4, bgra),
	} {
		if err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
