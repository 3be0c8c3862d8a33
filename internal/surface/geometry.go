package surface

import (
	"fmt"

	"portward/internal/wire"
)

// A Format is a four-character code, as in CoreVideo's CVPixelBuffer.h.
type Format uint32

// FormatBGRX is four bytes a pixel: blue, green, red, and one that means
// nothing. It is what X11 calls depth 24 in 32 bits (little endian), and
// 'BGRA' of an IOSurface whose alpha is ignored.
const FormatBGRX Format = 'B'<<24 | 'G'<<16 | 'R'<<8 | 'X'

func (f Format) String() string {
	if f == FormatBGRX {
		return "BGRX"
	}
	return fmt.Sprintf("Format(%#x)", uint32(f))
}

// BytesPerPixel is the same for all formats there are.
const BytesPerPixel = 4

// Slots is how many buffers a chain has, and how many frames are out at once.
const Slots = wire.Slots

// MaxSlots is how many surfaces a consumer takes of one producer.
const MaxSlots = wire.MaxSlots

// A Geometry is the shape of a buffer: pixels, pixels, bytes from row to row.
type Geometry struct {
	Width, Height, Stride int
	Format                Format
}

func (g Geometry) String() string {
	return fmt.Sprintf("%dx%d/%d %v", g.Width, g.Height, g.Stride, g.Format)
}

// Size is the bytes of one buffer of a valid geometry.
func (g Geometry) Size() int { return g.Stride * g.Height }

// Bounds is the whole picture.
func (g Geometry) Bounds() Rect { return Rect{0, 0, g.Width, g.Height} }

// MaxSize is the most bytes of one buffer: 16384x2560, or 8K with room to spare. What
// one picture may cost others is bounded by it.
const MaxSize = 160 << 20

// Check refuses a geometry that no chain can have.
func (g Geometry) Check() error {
	switch {
	case g.Width < 1 || g.Width > wire.MaxSide || g.Height < 1 || g.Height > wire.MaxSide:
		return fmt.Errorf("geometry %v: sides are 1 to %d", g, wire.MaxSide)
	case g.Stride < g.Width*BytesPerPixel || g.Stride > wire.MaxStride || g.Stride%BytesPerPixel != 0:
		return fmt.Errorf("geometry %v: stride does not fit", g)
	case g.Size() > MaxSize:
		return fmt.Errorf("geometry %v: a picture has %d bytes at most", g, MaxSize)
	case g.Format != FormatBGRX:
		return fmt.Errorf("geometry %v: unknown format", g)
	}
	return nil
}

// A Rect is a part of a picture, in pixels from the top left corner.
type Rect struct{ X, Y, W, H int }

// Empty says whether r holds no pixel.
func (r Rect) Empty() bool { return r.W <= 0 || r.H <= 0 }

func (r Rect) area() int { return r.W * r.H }

// Union is the smallest rectangle around both; an empty one counts for nothing.
func (r Rect) Union(o Rect) Rect {
	switch {
	case r.Empty():
		return o.canon()
	case o.Empty():
		return r
	}
	x, y := min(r.X, o.X), min(r.Y, o.Y)
	return Rect{x, y, max(r.X+r.W, o.X+o.W) - x, max(r.Y+r.H, o.Y+o.H) - y}
}

// Clip is the part of r inside o, or the zero Rect.
func (r Rect) Clip(o Rect) Rect {
	x, y := max(r.X, o.X), max(r.Y, o.Y)
	return Rect{x, y, min(r.X+r.W, o.X+o.W) - x, min(r.Y+r.H, o.Y+o.H) - y}.canon()
}

func (r Rect) canon() Rect {
	if r.Empty() {
		return Rect{}
	}
	return r
}
