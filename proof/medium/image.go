// Package medium knows how to be a disk: it serves a block device from memory,
// remembers every write and every flush in their order, and can be loaded with
// any state such a disk may have after a power cut. It must never know what a
// file system means by the blocks, or what a bundle is.
package medium

import "hash/maphash"

// BlockSize is the unit in which contents are kept. Requests may be smaller.
const BlockSize = 4096

// An Image is the content of a disk that nobody changes any more.
type Image struct {
	Size   int64
	under  *Image
	blocks map[int64][]byte // a nil block is zeroes
}

// Block answers one block, nil for zeroes. It is not to be written.
func (im *Image) Block(n int64) []byte {
	for ; im != nil; im = im.under {
		if b, ok := im.blocks[n]; ok {
			return b
		}
	}
	return nil
}

// With answers an image in which these blocks lie over im. It owns blocks.
func (im *Image) With(blocks map[int64][]byte) *Image {
	return &Image{Size: im.Size, under: im, blocks: blocks}
}

// Patch puts data at an offset into blocks that lie over im, without changing
// any block that was there.
func (im *Image) Patch(blocks map[int64][]byte, off int64, data []byte) {
	for len(data) > 0 {
		n, at := off/BlockSize, int(off%BlockSize)
		part := min(BlockSize-at, len(data))
		if part == BlockSize {
			blocks[n] = data[:part:part]
		} else {
			b := make([]byte, BlockSize)
			if old, ok := blocks[n]; ok {
				copy(b, old)
			} else {
				copy(b, im.Block(n))
			}
			copy(b[at:], data[:part])
			blocks[n] = b
		}
		off, data = off+int64(part), data[part:]
	}
}

var (
	seed   = maphash.MakeSeed()
	zeroes [BlockSize]byte
)

// Digest tells the content of one block at its place from all others of this
// process's life. Its XOR over all blocks is a digest of the disk, whose change
// by a few blocks is cheap to know.
func Digest(n int64, block []byte) uint64 {
	if block == nil {
		block = zeroes[:]
	}
	h := maphash.Bytes(seed, block)
	return maphash.Comparable(seed, [2]uint64{uint64(n), h})
}
