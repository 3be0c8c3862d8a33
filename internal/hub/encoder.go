package hub

import (
	"context"
	"encoding/binary"

	"portward/internal/surface"

	"github.com/klauspost/compress/s2"
)

// bandBytes is how many bytes of pixels a turn at an encoder takes at most. The
// longest row that surface lets through is a part of it.
const bandBytes = 2 << 20

// An encoder packs and compresses bands. It keeps its buffers from one to the
// next, which are as large as a band and what it becomes at worst.
type encoder struct{ packed, squeezed []byte }

func newEncoders(n int) chan *encoder {
	c := make(chan *encoder, n)
	for range n {
		c <- &encoder{}
	}
	return c
}

// encode makes the update of f in turns of a band each.
func (h *Hub) encode(s *session, f surface.Frame) (Update, bool, error) {
	d, changed, err := newDraft(s.id, s.index, f)
	if err != nil || !changed {
		return Update{}, false, err
	}
	if err := h.inTurns(s.ctx, d.encodeBand); err != nil {
		return Update{}, false, err
	}
	return d.update, true, nil
}

// inTurns calls step with the next free encoder while there is more, and gives it
// back after each. A channel serves those who wait in the order in which they
// came, so between two turns of one session every other has its own: none starves,
// and what one waits for grows with the number of sessions, not with their pictures.
func (h *Hub) inTurns(ctx context.Context, step func(*encoder) (more bool)) error {
	for more := true; more; {
		select {
		case e := <-h.encoders:
			more = h.turn(e, step)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (h *Hub) turn(e *encoder, step func(*encoder) bool) (more bool) {
	defer func() { h.encoders <- e }()
	return step(e)
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

// pack copies the rectangles out of pix (surface.FormatBGRX) as opaque RGBA
// without gaps.
func (e *encoder) pack(pix []byte, stride int, rects []surface.Rect) {
	n := packedSize(rects)
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

func packedSize(rects []surface.Rect) (n int) {
	for _, r := range rects {
		n += r.W * r.H * surface.BytesPerPixel
	}
	return n
}

// squeeze answers what is packed as the elements of a Snappy block, without the
// length that a block begins with. They are good until the next.
func (e *encoder) squeeze() []byte {
	if n := s2.MaxEncodedLen(len(e.packed)); cap(e.squeezed) < n {
		e.squeezed = make([]byte, n)
	}
	block := s2.EncodeSnappy(e.squeezed[:cap(e.squeezed)], e.packed)
	_, length := binary.Uvarint(block)
	return block[length:]
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
