package xpcpeer

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"portward/internal/wire"
)

// The encoding of a packet is one CBOR array (RFC 8949) of definite length:
//
//	[kind, id, body]   kind, id: unsigned
//	                   body: map in messages, calls and replies; text in
//	                   failures; an empty map in welcomes
//
// Keys of maps are text, none twice. Values keep their type exactly:
//
//	bool      false, true           string    text (UTF-8)
//	uint64    unsigned              data      byte string
//	double    binary64              array     array
//	int64     tag 63232, integer    dictionary map
//	date      tag 63233, integer: nanoseconds since 1970, UTC
//	uuid      tag 37, sixteen bytes (registered)
//	fd, endpoint, surface  tags 63234, 63235, 63236, unsigned: the index among
//	          the handles that travel beside the packet
//
// Every handle that came is named exactly once. Anything else is malformed.
// The tags from 63232 on are private: they mean this between two processes of
// one machine and nowhere else.
const (
	tagUUID     = 37
	tagInt64    = 63232
	tagDate     = 63233
	tagFD       = 63234
	tagEndpoint = 63235
	tagSurface  = 63236
)

// maxPacket is a dictionary of wire.MaxMessage with its envelope.
const maxPacket = wire.MaxMessage + 16

var encoding, decoding = encMode(), decMode()

func encMode() cbor.EncMode {
	m, err := cbor.EncOptions{
		ShortestFloat: cbor.ShortestFloatNone,
		NaNConvert:    cbor.NaNConvertNone,
		InfConvert:    cbor.InfConvertNone,
		IndefLength:   cbor.IndefLengthForbidden,
		NilContainers: cbor.NilContainerAsEmpty,
	}.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}

func decMode() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:  wire.MaxDepth + 4,
		MaxArrayElements: wire.MaxEntries,
		MaxMapPairs:      wire.MaxEntries,
		IndefLength:      cbor.IndefLengthForbidden,
		BignumTag:        cbor.BignumTagForbidden,
		DefaultMapType:   reflect.TypeFor[map[string]any](),
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}

// encode answers the packet's bytes and, in order of their indexes, its
// handles, which stay the sender's.
func encode(p packet) ([]byte, []wire.Handle, error) {
	var body any = p.code
	var f flattener
	if p.kind != kindFailure {
		if err := wire.Check(p.dict); err != nil {
			return nil, nil, err
		}
		m, err := f.dict(p.dict)
		if err != nil {
			return nil, nil, err
		}
		body = m
	}
	inner, err := encoding.Marshal(body)
	if err != nil {
		return nil, nil, malformed("%v", err)
	}
	if len(inner) > wire.MaxMessage {
		return nil, nil, malformed("%d bytes", len(inner))
	}
	data, err := encoding.Marshal([]any{uint64(p.kind), p.id, cbor.RawMessage(inner)})
	return data, f.handles, err
}

// A flattener turns our types into those of the encoder.
type flattener struct{ handles []wire.Handle }

func (f *flattener) dict(d wire.Dict) (map[string]any, error) {
	m := make(map[string]any, len(d))
	for k, v := range d {
		if !utf8.ValidString(k) {
			return nil, malformed("a key that is not UTF-8")
		}
		if strings.HasPrefix(k, reserved) {
			return nil, malformed("key %q, which is not for messages", k)
		}
		flat, err := f.value(v)
		if err != nil {
			return nil, err
		}
		m[k] = flat
	}
	return m, nil
}

func (f *flattener) value(v any) (any, error) {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return nil, malformed("a string that is not UTF-8")
		}
		return v, nil
	case int64:
		return cbor.Tag{Number: tagInt64, Content: v}, nil
	case time.Time:
		ns := v.UnixNano()
		if !time.Unix(0, ns).Equal(v) {
			return nil, malformed("a date outside of 1678 to 2262")
		}
		return cbor.Tag{Number: tagDate, Content: ns}, nil
	case wire.UUID:
		return cbor.Tag{Number: tagUUID, Content: v[:]}, nil
	case wire.Handle:
		f.handles = append(f.handles, v)
		return cbor.Tag{Number: tagFD + uint64(v.Kind-wire.HandleFD), Content: uint64(len(f.handles) - 1)}, nil
	case wire.Dict:
		return f.dict(v)
	case []any:
		return f.array(v)
	}
	return v, nil // wire.Check let the rest pass: it is the encoder's own
}

func (f *flattener) array(a []any) (any, error) {
	flat := make([]any, len(a))
	for i, e := range a {
		v, err := f.value(e)
		if err != nil {
			return nil, err
		}
		flat[i] = v
	}
	return flat, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", wire.ErrMalformed, fmt.Sprintf(format, args...))
}

// asInt64 reads an integer as the decoder answers it.
func asInt64(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}
