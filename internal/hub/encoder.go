package hub

import (
	"encoding/binary"
	"fmt"

	"portward/internal/surface"

	"github.com/klauspost/compress/s2"
)

// An encoder makes updates. It keeps its buffers from one to the next.
type encoder struct{ packed, squeezed []byte }

func newEncoders(n int) chan *encoder {
	c := make(chan *encoder, n)
	for range n {
		c <- &encoder{}
	}
	return c
}

// encode makes the update of f on the next free encoder. Sessions wait for one
// in the order in which they came, each with one frame: none starves.
func (h *Hub) encode(s *session, f surface.Frame) (Update, bool, error) {
	select {
	case e := <-h.encoders:
		defer func() { h.encoders <- e }()
		return e.encode(s.id, s.index, f)
	case <-s.ctx.Done():
		return Update{}, false, s.ctx.Err()
	}
}

// relieveEncoders lets go the buffers of those that are not at work.
func (h *Hub) relieveEncoders() {
	for range cap(h.encoders) {
		select {
		case <-h.encoders:
			h.encoders <- &encoder{}
		default:
			return
		}
	}
}

// encode makes the update for what has changed in f; false means nothing has.
// The frame was checked when its surface was opened; what is repeated here keeps
// a mistake there from ending the process.
func (e *encoder) encode(id string, index uint16, f surface.Frame) (Update, bool, error) {
	g := f.Geometry
	if err := checkFrame(g, len(f.Pix)); err != nil {
		return Update{}, false, fmt.Errorf("frame %d of session %s: %w", f.Seq, id, err)
	}
	changed := changes(f)
	if changed.Empty() {
		return Update{}, false, nil
	}
	rects := changed.Rects()
	e.pack(f.Pix, g.Stride, rects, changed.Area())
	return Update{
		Session: id, Index: index, Seq: f.Seq,
		Width: g.Width, Height: g.Height,
		Whole:   isWhole(changed, g),
		Message: message(index, f.Seq, rects, g, e.squeeze()),
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

// pack copies the rectangles, of so many pixels, out of pix (surface.FormatBGRX)
// as opaque RGBA without gaps.
func (e *encoder) pack(pix []byte, stride int, rects []surface.Rect, pixels int) {
	n := pixels * surface.BytesPerPixel
	if cap(e.packed) < n {
		e.packed = make([]byte, n)
	}
	e.packed = e.packed[:n]
	to := e.packed
	for _, r := range rects {
		row := r.W * surface.BytesPerPixel
		for y := range r.H {
			from := (r.Y+y)*stride + r.X*surface.BytesPerPixel
			swapRow(to[:row], pix[from:from+row])
			to = to[row:]
		}
	}
}

// squeeze answers what is packed as a Snappy block, which is good until the next.
func (e *encoder) squeeze() []byte {
	if n := s2.MaxEncodedLen(len(e.packed)); cap(e.squeezed) < n {
		e.squeezed = make([]byte, n)
	}
	return s2.EncodeSnappy(e.squeezed[:cap(e.squeezed)], e.packed)
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
