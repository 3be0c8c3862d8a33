package hub

import (
	"encoding/binary"
	"fmt"

	"portward/internal/surface"

	"github.com/klauspost/compress/s2"
)

// The binary message of an update. Numbers are little-endian.
//
//	offset  size  what
//	0       1     version, 1
//	1       1     kind, 1: a rectangle of RGBA, 8 bits each, rows packed, as one
//	              Snappy block (google/snappy format_description.txt)
//	2       2     index of the session, as SessionState tells it
//	4       4     sequence number of the frame, as the agent counts
//	8       2x4   x, y, width, height of the rectangle
//	16      2x2   width, height of the whole picture
//	20      ...   the Snappy block
const (
	UpdateVersion = 1
	KindSnappy    = 1
	UpdateHeader  = 20
)

// An Update is one change of a session's picture. Message is shared by all
// viewers: nobody writes to it.
type Update struct {
	Session       string
	Index         uint16
	Seq           uint32
	Width, Height int  // of the whole picture, in pixels
	Whole         bool // the message covers the whole picture
	Message       []byte
}

// An encoder makes updates. It keeps its buffers, so each session has its own.
type encoder struct{ packed, squeezed []byte }

// encode makes the update for f's dirty rectangle; false means that nothing has
// changed. The frame was checked when its surface was opened; what is repeated
// here keeps a mistake there from ending the process.
func (e *encoder) encode(id string, index uint16, f surface.Frame) (Update, bool, error) {
	g := f.Geometry
	if err := checkFrame(g, len(f.Pix)); err != nil {
		return Update{}, false, fmt.Errorf("frame %d of session %s: %w", f.Seq, id, err)
	}
	r := f.Dirty.Bounds().Clip(g.Bounds())
	if r.Empty() {
		return Update{}, false, nil
	}
	e.pack(f.Pix, g.Stride, r)
	if n := s2.MaxEncodedLen(len(e.packed)); cap(e.squeezed) < n {
		e.squeezed = make([]byte, n)
	}
	block := s2.EncodeSnappy(e.squeezed[:cap(e.squeezed)], e.packed)
	return Update{
		Session: id, Index: index, Seq: f.Seq,
		Width: g.Width, Height: g.Height,
		Whole:   r == g.Bounds(),
		Message: message(index, f.Seq, r, g, block),
	}, true, nil
}

func checkFrame(g surface.Geometry, size int) error {
	if err := g.Check(); err != nil {
		return err
	}
	if size < g.Size() {
		return fmt.Errorf("%d bytes for %v", size, g)
	}
	return nil
}

func message(index uint16, seq uint32, r surface.Rect, g surface.Geometry, block []byte) []byte {
	m := make([]byte, 0, UpdateHeader+len(block))
	m = append(m, UpdateVersion, KindSnappy)
	m = binary.LittleEndian.AppendUint16(m, index)
	m = binary.LittleEndian.AppendUint32(m, seq)
	for _, v := range [...]int{r.X, r.Y, r.W, r.H, g.Width, g.Height} {
		m = binary.LittleEndian.AppendUint16(m, uint16(v))
	}
	return append(m, block...)
}

// pack copies r out of pix (surface.FormatBGRX) as opaque RGBA without gaps.
func (e *encoder) pack(pix []byte, stride int, r surface.Rect) {
	row := r.W * surface.BytesPerPixel
	if n := row * r.H; cap(e.packed) < n {
		e.packed = make([]byte, n)
	}
	e.packed = e.packed[:row*r.H]
	for y := range r.H {
		from := (r.Y+y)*stride + r.X*surface.BytesPerPixel
		swapRow(e.packed[y*row:(y+1)*row], pix[from:from+row])
	}
}

// swapRow turns BGRX into opaque RGBA, two pixels at a time. Both slices have
// the same length, a multiple of a pixel.
func swapRow(to, from []byte) {
	for len(from) >= 8 && len(to) >= 8 {
		v := binary.LittleEndian.Uint64(from)
		binary.LittleEndian.PutUint64(to, v>>16&0x000000ff_000000ff|v&0x0000ff00_0000ff00|v&0x000000ff_000000ff<<16|0xff000000_ff000000)
		from, to = from[8:], to[8:]
	}
	if len(from) >= surface.BytesPerPixel && len(to) >= surface.BytesPerPixel {
		to[0], to[1], to[2], to[3] = from[2], from[1], from[0], 0xff
	}
}
