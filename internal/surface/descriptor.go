package surface

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A descriptor is what a frame or its release costs on the channel: 16 bytes,
// little endian.
//
//	0  slot   u8
//	1  flags  u8   zero
//	2         u16  zero
//	4  seq    u32  not zero
//	8  x y w h     u16 each; zero in a release
type descriptor struct {
	slot  int
	seq   uint32
	dirty Rect
}

const descriptorSize = 16

// maxSeq is the last sequence number; after it the producer makes a new channel.
const maxSeq = math.MaxUint32

func (d descriptor) encode() [descriptorSize]byte {
	var b [descriptorSize]byte
	b[0] = byte(d.slot)
	binary.LittleEndian.PutUint32(b[4:], d.seq)
	for i, v := range [4]int{d.dirty.X, d.dirty.Y, d.dirty.W, d.dirty.H} {
		binary.LittleEndian.PutUint16(b[8+2*i:], uint16(v))
	}
	return b
}

// decode reads a peer's message. The error is ErrHostile. The rectangle is in
// canonical form but was held against no geometry yet.
func decode(b []byte) (descriptor, error) {
	if len(b) != descriptorSize {
		return descriptor{}, fmt.Errorf("%w: descriptor of %d bytes", ErrHostile, len(b))
	}
	u16 := func(i int) int { return int(binary.LittleEndian.Uint16(b[i:])) }
	d := descriptor{
		slot:  int(b[0]),
		seq:   binary.LittleEndian.Uint32(b[4:]),
		dirty: Rect{u16(8), u16(10), u16(12), u16(14)},
	}
	switch {
	case b[1] != 0 || b[2] != 0 || b[3] != 0:
		return descriptor{}, fmt.Errorf("%w: reserved bytes of a descriptor are set", ErrHostile)
	case d.slot >= Slots:
		return descriptor{}, fmt.Errorf("%w: slot %d", ErrHostile, d.slot)
	case d.seq == 0:
		return descriptor{}, fmt.Errorf("%w: sequence number zero", ErrHostile)
	case d.dirty.Empty() && d.dirty != Rect{}:
		return descriptor{}, fmt.Errorf("%w: rectangle %v", ErrHostile, d.dirty)
	}
	return d, nil
}

// decodeRelease reads a consumer's message.
func decodeRelease(b []byte) (descriptor, error) {
	d, err := decode(b)
	if err == nil && d.dirty != (Rect{}) {
		return descriptor{}, fmt.Errorf("%w: release with a rectangle", ErrHostile)
	}
	return d, err
}

// inside holds a frame against the geometry of its chain.
func (d descriptor) inside(g Geometry) error {
	if d.dirty.Clip(g.Bounds()) != d.dirty {
		return fmt.Errorf("%w: rectangle %v outside of %v", ErrHostile, d.dirty, g)
	}
	return nil
}
