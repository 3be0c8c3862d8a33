package hub

import (
	"encoding/binary"
	"fmt"
	"slices"

	"portward/internal/surface"
)

// A draft is an update in the making. It belongs to its session; encoders work
// on it for a band at a time.
//
// The bands are one Snappy block all the same. A block is its length, unpacked,
// and then elements: literals, and copies of what lies so many bytes back in what
// has been unpacked until then. The elements of a band were made from that band
// alone, so they reach back no further than its beginning, and mean the same
// wherever it stands. Hence the length of all, followed by the elements of one
// band after another, is a block of all.
type draft struct {
	update Update
	pix    []byte
	stride int
	rest   []surface.Rect // what no band had yet, in order
	head   []byte         // goes before the elements of the first band
	band   int            // bytes of pixels in a band, at most
}

// newDraft begins the update for what has changed in f; false means nothing has.
// The frame was checked when its surface was opened; what is repeated here keeps
// a mistake there from ending the process.
func newDraft(id string, index uint16, f surface.Frame) (*draft, bool, error) {
	g := f.Geometry
	if err := checkFrame(g, len(f.Pix)); err != nil {
		return nil, false, fmt.Errorf("frame %d of session %s: %w", f.Seq, id, err)
	}
	changed := changes(f)
	if changed.Empty() {
		return nil, false, nil
	}
	rects := changed.Rects()
	return &draft{
		update: Update{
			Session: id, Index: index, Seq: f.Seq,
			Width: g.Width, Height: g.Height,
			Whole: isWhole(changed, g),
		},
		pix: f.Pix, stride: g.Stride, rest: rects, band: bandBytes,
		head: binary.AppendUvarint(header(index, f.Seq, rects, g), uint64(packedSize(rects))),
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

// encodeBand adds the next band to the message and says whether there is more.
func (d *draft) encodeBand(e *encoder) (more bool) {
	e.pack(d.pix, d.stride, d.cut())
	d.update.Message = append(d.update.Message, slices.Concat(d.head, e.squeeze()))
	d.head = nil
	return len(d.rest) > 0
}

// cut takes the next band off the rest: as many rows as fit, and one at least.
func (d *draft) cut() (band []surface.Rect) {
	room := d.band
	for len(d.rest) > 0 {
		r := &d.rest[0]
		row := r.W * surface.BytesPerPixel
		if len(band) > 0 && room < row {
			break
		}
		n := min(r.H, max(room/row, 1))
		band = append(band, surface.Rect{X: r.X, Y: r.Y, W: r.W, H: n})
		room -= n * row
		if r.Y, r.H = r.Y+n, r.H-n; r.H == 0 {
			d.rest = d.rest[1:]
		}
	}
	return band
}
