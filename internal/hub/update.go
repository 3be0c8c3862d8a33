package hub

import (
	"encoding/binary"

	"portward/internal/surface"
)

// The binary message of an update. Numbers are little-endian.
//
//	offset  size  what
//	0       1     version, 1
//	1       1     kind, 1: rectangles of RGBA, 8 bits each, as one Snappy block
//	              (google/snappy format_description.txt)
//	2       2     index of the session, as SessionState tells it
//	4       4     sequence number of the frame, as the agent counts
//	8       2x2   width, height of the whole picture
//	12      2     n, how many rectangles: 1 to surface.MaxRects
//	14      nx8   x, y, width, height of each
//	14+8n   ...   the Snappy block: the rows of the first rectangle, then those
//	              of the next, without gaps
//
// Rectangles may overlap; together they have no more pixels than the picture.
const (
	UpdateVersion = 1
	KindSnappy    = 1
	UpdateHeader  = 14
	RectSize      = 8
)

// A Message is the bytes of an update, in pieces: those of a large picture come
// from as many turns at an encoder, and are never copied together.
type Message [][]byte

// Len is the number of its bytes.
func (m Message) Len() (n int) {
	for _, piece := range m {
		n += len(piece)
	}
	return n
}

// An Update is one change of a session's picture. Message is shared by all
// viewers: nobody writes to it.
type Update struct {
	Session       string
	Index         uint16
	Seq           uint32
	Width, Height int  // of the whole picture, in pixels
	Whole         bool // the message covers the whole picture
	Message       Message
}

// changes is what is sent of f: what changed inside the picture, as one
// rectangle where several would be no fewer pixels.
func changes(f surface.Frame) surface.Region {
	r := f.Dirty.Clip(f.Bounds())
	if b := r.Bounds(); r.Area() >= b.W*b.H {
		return surface.RegionOf(b)
	}
	return r
}

func isWhole(r surface.Region, g surface.Geometry) bool {
	return r == surface.RegionOf(g.Bounds())
}

// header is all of a message but the block.
func header(index uint16, seq uint32, rects []surface.Rect, g surface.Geometry) []byte {
	m := []byte{UpdateVersion, KindSnappy}
	m = binary.LittleEndian.AppendUint16(m, index)
	m = binary.LittleEndian.AppendUint32(m, seq)
	m = appendShorts(m, g.Width, g.Height, len(rects))
	for _, r := range rects {
		m = appendShorts(m, r.X, r.Y, r.W, r.H)
	}
	return m
}

func appendShorts(m []byte, values ...int) []byte {
	for _, v := range values {
		m = binary.LittleEndian.AppendUint16(m, uint16(v))
	}
	return m
}
