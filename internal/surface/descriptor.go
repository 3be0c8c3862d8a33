package surface

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A descriptor is what a frame or its release costs on the channel: 64 bytes,
// little endian, a line of a cache.
//
//	0  slot   u8
//	1  count  u8   of rectangles; zero in a release
//	2         u16  zero
//	4  seq    u32  not zero
//	8  x y w h     u16 each, MaxRects times; zero from count on
type descriptor struct {
	slot  int
	seq   uint32
	dirty Region
}

const descriptorSize = 8 + 8*MaxRects

// maxSeq is the last sequence number; after it the producer makes a new channel.
const maxSeq = math.MaxUint32

func (d descriptor) encode() [descriptorSize]byte {
	var b [descriptorSize]byte
	b[0], b[1] = byte(d.slot), byte(d.dirty.count)
	binary.LittleEndian.PutUint32(b[4:], d.seq)
	for i, r := range d.dirty.rects[:d.dirty.count] {
		for j, v := range [4]int{r.X, r.Y, r.W, r.H} {
			binary.LittleEndian.PutUint16(b[8+8*i+2*j:], uint16(v))
		}
	}
	return b
}

// decode reads a peer's message. The error is ErrHostile. The rectangles were
// held against no geometry yet.
func decode(b []byte) (descriptor, error) {
	if len(b) != descriptorSize {
		return descriptor{}, fmt.Errorf("%w: descriptor of %d bytes", ErrHostile, len(b))
	}
	d := descriptor{slot: int(b[0]), seq: binary.LittleEndian.Uint32(b[4:])}
	switch {
	case b[2] != 0 || b[3] != 0:
		return descriptor{}, fmt.Errorf("%w: reserved bytes of a descriptor are set", ErrHostile)
	case d.slot >= MaxSlots:
		return descriptor{}, fmt.Errorf("%w: slot %d", ErrHostile, d.slot)
	case d.seq == 0:
		return descriptor{}, fmt.Errorf("%w: sequence number zero", ErrHostile)
	case b[1] > MaxRects:
		return descriptor{}, fmt.Errorf("%w: %d rectangles", ErrHostile, b[1])
	}
	d.dirty.count = int(b[1])
	for i := range MaxRects {
		r := decodeRect(b[8+8*i:])
		if i < d.dirty.count && r.Empty() || i >= d.dirty.count && r != (Rect{}) {
			return descriptor{}, fmt.Errorf("%w: rectangle %d of %d is %v", ErrHostile, i, d.dirty.count, r)
		}
		d.dirty.rects[i] = r
	}
	return d, nil
}

func decodeRect(b []byte) Rect {
	u16 := func(i int) int { return int(binary.LittleEndian.Uint16(b[i:])) }
	return Rect{u16(0), u16(2), u16(4), u16(6)}
}

// decodeRelease reads a consumer's message.
func decodeRelease(b []byte) (descriptor, error) {
	d, err := decode(b)
	if err == nil && !d.dirty.Empty() {
		return descriptor{}, fmt.Errorf("%w: release with a rectangle", ErrHostile)
	}
	return d, err
}
