package sign

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"maps"
	"slices"

	"howett.net/plist"
)

const (
	maxPlist        = 1 << 20
	maxEntitlements = 64 << 10
	maxNesting      = 32
)

// entitlements are what a program asks the system to allow it, in the two forms
// that a signature holds: as a property list for what is older than macOS 12,
// and in the DER that newer systems believe.
type entitlements struct {
	xml, der []byte
}

// CheckEntitlements says whether a property list can be signed as entitlements.
func CheckEntitlements(text []byte) error {
	_, err := parseEntitlements(text)
	return err
}

// parseEntitlements reads a property list and writes it anew: the kernel's
// reader of XML knows neither comments nor the other things that people's do.
func parseEntitlements(text []byte) (entitlements, error) {
	if len(text) == 0 {
		return entitlements{}, nil
	}
	if len(text) > maxEntitlements {
		return entitlements{}, fmt.Errorf("%d bytes of entitlements, more than %d", len(text), maxEntitlements)
	}
	var value any
	if _, err := plist.Unmarshal(text, &value); err != nil {
		return entitlements{}, fmt.Errorf("entitlements: %w", err)
	}
	dict, ok := value.(map[string]any)
	if !ok {
		return entitlements{}, errors.New("entitlements: not a dictionary")
	}
	if len(dict) == 0 {
		return entitlements{}, nil
	}
	der, err := derValue(dict, 0)
	if err != nil {
		return entitlements{}, fmt.Errorf("entitlements: %w", err)
	}
	xml, err := plist.MarshalIndent(dict, plist.XMLFormat, "\t")
	if err != nil {
		return entitlements{}, fmt.Errorf("entitlements: %w", err)
	}
	return entitlements{
		xml: append(bytes.TrimRight(xml, "\n"), '\n'),
		der: tlv(0x70, append([]byte{0x02, 1, 1}, der...)), // version 1
	}, nil
}

// derValue encodes what Apple's form of entitlements can hold: truth values,
// integers, strings, arrays and dictionaries. The last are a context tag of
// pairs, sorted by key; nothing else of a property list has a form.
func derValue(v any, depth int) ([]byte, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	switch v := v.(type) {
	case bool, int64:
		return asn1.Marshal(v)
	case uint64:
		if int64(v) < 0 {
			return nil, fmt.Errorf("the number %d", v)
		}
		return asn1.Marshal(int64(v))
	case string:
		return tlv(asn1.TagUTF8String, []byte(v)), nil
	case []any:
		return derList(0x30, v, depth)
	case map[string]any:
		var pairs []any
		for _, key := range slices.Sorted(maps.Keys(v)) {
			pairs = append(pairs, []any{key, v[key]})
		}
		return derList(0xb0, pairs, depth)
	}
	return nil, fmt.Errorf("a value of type %T, which entitlements cannot hold", v)
}

func derList(tag byte, values []any, depth int) ([]byte, error) {
	var content []byte
	for _, v := range values {
		der, err := derValue(v, depth+1)
		if err != nil {
			return nil, err
		}
		content = append(content, der...)
	}
	return tlv(tag, content), nil
}

// tlv is one element of DER: the tag, the shortest length, the content.
func tlv(tag byte, content []byte) []byte {
	n := len(content)
	out := []byte{tag}
	switch {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 1<<8:
		out = append(out, 0x81, byte(n))
	case n < 1<<16:
		out = append(out, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(out, content...)
}
