package requirement

import (
	"encoding/binary"
	"fmt"
)

// Type says what a requirement in a set is for. A set may hold others than this.
type Type uint32

// Designated is what the code is known by.
const Designated Type = 3

const maxSet = 16 // requirements

// Set answers a set blob, magic 0xfade0c01, whose one member is the designated
// requirement with that blob; of no bytes: an empty set.
func Set(designated []byte) []byte {
	e := &encoder{}
	e.number(magicSet)
	if len(designated) == 0 {
		e.number(12)
		e.number(0)
		return e.out
	}
	e.number(uint32(20 + len(designated)))
	e.number(1)
	e.number(uint32(Designated))
	e.number(20)
	return append(e.out, designated...)
}

// ParseSet reads a set blob. Its members are where the index says, one after the
// other in any order, and fill the blob.
func ParseSet(blob []byte) (map[Type]*Requirement, error) {
	set, err := parseSet(blob)
	if err != nil {
		return nil, fmt.Errorf("requirement set: %w", err)
	}
	return set, nil
}

func parseSet(blob []byte) (map[Type]*Requirement, error) {
	body, err := open(blob, magicSet)
	if err != nil {
		return nil, err
	}
	d := &decoder{rest: body}
	count := d.number()
	if count > maxSet {
		return nil, fmt.Errorf("%d members, at most %d", count, maxSet)
	}
	set, used := map[Type]*Requirement{}, 12+8*int64(count)
	for range count {
		kind, offset := Type(d.number()), d.number()
		if d.err != nil {
			return nil, d.err
		}
		member, err := memberAt(blob, int64(offset))
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", kind, err)
		}
		if set[kind] != nil {
			return nil, fmt.Errorf("member %d comes twice", kind)
		}
		if set[kind], err = ParseBinary(member); err != nil {
			return nil, fmt.Errorf("member %d: %w", kind, err)
		}
		used += int64(len(member))
	}
	if d.err == nil && used != int64(len(blob)) {
		d.err = fmt.Errorf("its members have %d of its %d bytes", used, len(blob))
	}
	return set, d.err
}

func memberAt(blob []byte, offset int64) ([]byte, error) {
	if offset < 12 || offset > int64(len(blob))-8 {
		return nil, fmt.Errorf("offset %d of %d", offset, len(blob))
	}
	n := int64(binary.BigEndian.Uint32(blob[offset+4:]))
	if n < 8 || n > int64(len(blob))-offset {
		return nil, fmt.Errorf("%d bytes at offset %d of %d", n, offset, len(blob))
	}
	return blob[offset : offset+n], nil
}
