package signature

import (
	"errors"
	"fmt"
)

const maxBERDepth = 32

var errBER = errors.New("not BER")

// toDER answers the first value of data with definite lengths and strings in one
// piece, as encoding/asn1 wants it, and what follows. Apple's own signer writes
// neither. What was DER comes back as it was.
func toDER(data []byte) (der, rest []byte, err error) {
	return derValue(data, 1)
}

// berHead is the tag and the length of a value.
type berHead struct {
	tag         byte
	size        int // of the head
	length      int
	isEndless   bool
	constructed bool
}

func readHead(data []byte) (berHead, error) {
	if len(data) < 2 || data[0]&0x1f == 0x1f {
		return berHead{}, errBER
	}
	h := berHead{tag: data[0], size: 2, constructed: data[0]&0x20 != 0}
	switch n := int(data[1]); {
	case n == 0x80:
		h.isEndless = true
		if !h.constructed {
			return berHead{}, errBER
		}
	case n < 0x80:
		h.length = n
	default:
		n &= 0x7f
		if n > 4 || len(data) < 2+n {
			return berHead{}, errBER
		}
		for _, c := range data[2 : 2+n] {
			h.length = h.length<<8 | int(c)
		}
		h.size += n
	}
	if h.length > len(data)-h.size {
		return berHead{}, fmt.Errorf("%w: a value of %d bytes in %d", errBER, h.length, len(data)-h.size)
	}
	return h, nil
}

func derValue(data []byte, depth int) (der, rest []byte, err error) {
	if depth > maxBERDepth {
		return nil, nil, fmt.Errorf("%w: more than %d levels", errBER, maxBERDepth)
	}
	h, err := readHead(data)
	if err != nil {
		return nil, nil, err
	}
	if !h.constructed {
		end := h.size + h.length
		return data[:end], data[end:], nil
	}
	content, rest, err := derContent(h, data, depth)
	if err != nil {
		return nil, nil, err
	}
	tag := h.tag
	if tag == 0x24 { // an OCTET STRING in pieces
		if content, err = join(content); err != nil {
			return nil, nil, err
		}
		tag = 0x04
	}
	return append(derHead(tag, len(content)), content...), rest, nil
}

// derContent answers the values inside, one after the other.
func derContent(h berHead, data []byte, depth int) (content, rest []byte, err error) {
	inside := data[h.size:]
	if !h.isEndless {
		inside, rest = inside[:h.length], inside[h.length:]
	}
	for {
		if h.isEndless && len(inside) >= 2 && inside[0] == 0 && inside[1] == 0 {
			return content, inside[2:], nil
		}
		if len(inside) == 0 {
			if h.isEndless {
				return nil, nil, fmt.Errorf("%w: no end", errBER)
			}
			return content, rest, nil
		}
		var one []byte
		if one, inside, err = derValue(inside, depth+1); err != nil {
			return nil, nil, err
		}
		content = append(content, one...)
	}
}

func derHead(tag byte, length int) []byte {
	switch {
	case length < 0x80:
		return []byte{tag, byte(length)}
	case length < 0x100:
		return []byte{tag, 0x81, byte(length)}
	case length < 0x10000:
		return []byte{tag, 0x82, byte(length >> 8), byte(length)}
	case length < 0x1000000:
		return []byte{tag, 0x83, byte(length >> 16), byte(length >> 8), byte(length)}
	}
	return []byte{tag, 0x84, byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}
}

// join answers the bytes of OCTET STRINGs one after the other.
func join(pieces []byte) ([]byte, error) {
	var all []byte
	for len(pieces) > 0 {
		h, err := readHead(pieces)
		if err != nil {
			return nil, err
		}
		if h.tag != 0x04 {
			return nil, fmt.Errorf("%w: a string with a piece of kind %#x", errBER, h.tag)
		}
		all = append(all, pieces[h.size:h.size+h.length]...)
		pieces = pieces[h.size+h.length:]
	}
	return all, nil
}
