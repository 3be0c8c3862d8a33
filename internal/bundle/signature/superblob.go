package signature

import (
	"encoding/binary"
	"fmt"
)

// Slots: places in a superblob, and with the number negative in a code
// directory.
const (
	slotDirectory    = 0
	slotInfo         = 1
	slotRequirements = 2
	slotResources    = 3
	slotEntitlements = 5
	slotEntitleDER   = 7
	lastSpecial      = 11 // constraints: 8 to 11
	slotAlternate    = 0x1000
	lastAlternate    = 0x1004
	slotCMS          = 0x10000
)

const (
	magicSignature  = 0xfade0cc0
	magicDirectory  = 0xfade0c02
	magicSet        = 0xfade0c01
	magicEntitle    = 0xfade7171
	magicEntitleDER = 0xfade7172
	magicConstraint = 0xfade8181
	magicWrapper    = 0xfade0b01

	maxBlobs = 32
)

// magicOf answers which blob may be in a slot.
func magicOf(slot uint32) (magic uint32, ok bool) {
	switch {
	case slot == slotDirectory, slotAlternate <= slot && slot <= lastAlternate:
		return magicDirectory, true
	case slot == slotRequirements:
		return magicSet, true
	case slot == slotEntitlements:
		return magicEntitle, true
	case slot == slotEntitleDER:
		return magicEntitleDER, true
	case 8 <= slot && slot <= lastSpecial:
		return magicConstraint, true
	case slot == slotCMS:
		return magicWrapper, true
	}
	return 0, false
}

// superBlob splits the bytes of a signature into its blobs, heads and all. They
// fill the superblob, which may be followed by zeros only: nothing can hide in
// the part of the file that no hash covers.
func superBlob(data []byte) (map[uint32][]byte, error) {
	if len(data) < 12 {
		return nil, fmt.Errorf("a signature of %d bytes", len(data))
	}
	if magic := binary.BigEndian.Uint32(data); magic != magicSignature {
		return nil, fmt.Errorf("a signature with magic %#x", magic)
	}
	length, count := int64(binary.BigEndian.Uint32(data[4:])), int64(binary.BigEndian.Uint32(data[8:]))
	if length > int64(len(data)) || count > maxBlobs || 12+8*count > length {
		return nil, fmt.Errorf("a signature of %d blobs in %d bytes of %d", count, length, len(data))
	}
	if !isZero(data[length:]) {
		return nil, fmt.Errorf("bytes after the signature that are not zero")
	}
	return blobsIn(data[:length], count)
}

func blobsIn(data []byte, count int64) (map[uint32][]byte, error) {
	blobs, used := map[uint32][]byte{}, 12+8*count
	for i := range count {
		entry := data[12+8*i:]
		slot, offset := binary.BigEndian.Uint32(entry), int64(binary.BigEndian.Uint32(entry[4:]))
		blob, err := blobAt(data, 12+8*count, offset)
		if err != nil {
			return nil, fmt.Errorf("slot %#x: %w", slot, err)
		}
		magic, known := magicOf(slot)
		if !known || binary.BigEndian.Uint32(blob) != magic {
			return nil, fmt.Errorf("slot %#x: a blob with magic %#x", slot, binary.BigEndian.Uint32(blob))
		}
		if blobs[slot] != nil {
			return nil, fmt.Errorf("slot %#x: there twice", slot)
		}
		blobs[slot] = blob
		used += int64(len(blob))
	}
	if used != int64(len(data)) {
		return nil, fmt.Errorf("its blobs have %d of the signature's %d bytes", used, len(data))
	}
	return blobs, nil
}

func blobAt(data []byte, first, offset int64) ([]byte, error) {
	if offset < first || offset > int64(len(data))-8 {
		return nil, fmt.Errorf("at %d of %d", offset, len(data))
	}
	length := int64(binary.BigEndian.Uint32(data[offset+4:]))
	if length < 8 || length > int64(len(data))-offset {
		return nil, fmt.Errorf("%d bytes at %d of %d", length, offset, len(data))
	}
	return data[offset : offset+length], nil
}
