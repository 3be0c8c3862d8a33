package signature

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// readEntitlements reads both forms and compares them: which one a Mac believes
// depends on its version, so they may not differ.
func (c *Code) readEntitlements() error {
	text, der := c.blobs[slotEntitlements], c.blobs[slotEntitleDER]
	if text == nil && der == nil {
		return nil
	}
	if text == nil || der == nil {
		return errors.New("entitlements: in one of their two forms only")
	}
	fromText, err := parsePlist(text[8:])
	if err != nil {
		return fmt.Errorf("entitlements: %w", err)
	}
	fromDER, err := parseEntitlements(der[8:])
	if err != nil {
		return fmt.Errorf("entitlements in DER: %w", err)
	}
	if !reflect.DeepEqual(normal(fromText), normal(fromDER)) {
		return errors.New("entitlements: their two forms differ")
	}
	c.entitlements = fromText
	return nil
}

// normal makes one of the kinds that numbers have.
func normal(v any) any {
	switch v := v.(type) {
	case uint64:
		return int64(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = normal(v[i])
		}
		return list
	case map[string]any:
		dict := map[string]any{}
		for k := range v {
			dict[k] = normal(v[k])
		}
		return dict
	}
	return v
}

// Tags of the DER form: the whole, and a dictionary.
const (
	tagWhole = 0x70 // application 16
	tagDict  = 0xb0 // context 16
)

func parseEntitlements(data []byte) (map[string]any, error) {
	whole, rest, err := element(data, tagWhole)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, errors.New("bytes after its end")
	}
	var version int
	dict, err := asn1.Unmarshal(whole, &version)
	if err != nil {
		return nil, err
	}
	if version != 1 {
		return nil, fmt.Errorf("version %d", version)
	}
	value, rest, err := derPlist(dict, 1)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, errors.New("bytes after its end")
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("not a dictionary")
	}
	return m, nil
}

// element answers the contents of the value at the front, which has that tag.
func element(data []byte, tag byte) (content, rest []byte, err error) {
	h, err := readHead(data)
	if err != nil {
		return nil, nil, err
	}
	if h.isEndless || h.tag != tag || len(derHead(h.tag, h.length)) != h.size {
		return nil, nil, fmt.Errorf("kind %#x, or not DER", h.tag)
	}
	return data[h.size : h.size+h.length], data[h.size+h.length:], nil
}

func derPlist(data []byte, depth int) (value any, rest []byte, err error) {
	if depth > maxPlistDepth {
		return nil, nil, errTooDeep
	}
	if len(data) == 0 {
		return nil, nil, errBER
	}
	content, rest, err := element(data, data[0])
	if err != nil {
		return nil, nil, err
	}
	switch data[0] {
	case tagDict:
		value, err = derDict(content, depth)
	case 0x30:
		value, err = derList(content, depth)
	case 0x0c:
		value, err = string(content), nil
		if !utf8.Valid(content) {
			err = errors.New("not UTF-8")
		}
	case 0x04:
		value = append([]byte{}, content...)
	case 0x01, 0x02:
		value, err = derScalar(data[:len(data)-len(rest)])
	default:
		err = fmt.Errorf("a value of kind %#x", data[0])
	}
	return value, rest, err
}

func derScalar(der []byte) (any, error) {
	if der[0] == 0x01 {
		var b bool
		err := unmarshal(der, &b)
		return b, err
	}
	var n int64
	err := unmarshal(der, &n)
	return n, err
}

func derList(content []byte, depth int) (any, error) {
	list := []any{}
	for len(content) > 0 {
		v, rest, err := derPlist(content, depth+1)
		if err != nil {
			return nil, err
		}
		list, content = append(list, v), rest
	}
	return list, nil
}

// derDict: its keys are sorted, which also means that none comes twice.
func derDict(content []byte, depth int) (any, error) {
	dict, last := map[string]any{}, ""
	for len(content) > 0 {
		pair, rest, err := element(content, 0x30)
		if err != nil {
			return nil, err
		}
		content = rest
		key, after, err := element(pair, 0x0c)
		if err != nil {
			return nil, err
		}
		v, after, err := derPlist(after, depth+1)
		if err != nil {
			return nil, err
		}
		k := string(key)
		if len(after) != 0 || !utf8.Valid(key) || len(dict) > 0 && k <= last {
			return nil, fmt.Errorf("key %q: out of order, or with more than a value", k)
		}
		dict[k], last = v, k
	}
	return dict, nil
}
