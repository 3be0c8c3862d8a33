package xpcpeer

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"portward/internal/wire"
)

// A token stands for a kernel object.
type token struct{ n int }

func (*token) Close() error { return nil }

func tokens(n int) []io.Closer {
	o := make([]io.Closer, n)
	for i := range o {
		o[i] = &token{i}
	}
	return o
}

func objectsOf(hs []wire.Handle) []io.Closer {
	o := make([]io.Closer, len(hs))
	for i, h := range hs {
		o[i] = h.Object
	}
	return o
}

func samples() []packet {
	h := tokens(3)
	return []packet{
		{kind: kindWelcome, id: protocol, dict: wire.Dict{}},
		{kind: kindMessage, dict: wire.Dict{}},
		{kind: kindCall, id: 1, dict: wire.Dict{"i": int64(-1), "u": uint64(1), "d": 0.5, "s": "s", "b": true}},
		{kind: kindReply, id: math.MaxUint64, dict: wire.Dict{
			"fd": wire.Handle{Kind: wire.HandleFD, Object: h[0]}, "a": []any{
				wire.Handle{Kind: wire.HandleEndpoint, Object: h[1]}, wire.Handle{Kind: wire.HandleSurface, Object: h[2]}}}},
		{kind: kindMessage, dict: wire.Dict{"t": time.Unix(0, math.MinInt64).UTC(), "id": wire.UUID{1}, "x": []byte{1}, "d": wire.Dict{"k": []any{}}}},
		{kind: kindFailure, id: 3, code: codeUnanswered},
	}
}

// Rule: what is sent is what arrives, type for type, handle for handle.
func TestCodecRoundTrip(t *testing.T) {
	for _, p := range samples() {
		data, handles, err := encode(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(data, objectsOf(handles))
		if err != nil {
			t.Fatalf("%v: %v", p.kind, err)
		}
		if !reflect.DeepEqual(got, p) {
			t.Errorf("got %#v\nsent %#v", got, p)
		}
	}
}

// Rule: a packet is exact or malformed. Each line is one lie.
func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		data    string
		handles int
	}{
		"nothing":                {"", 0},
		"no array":               {"\xa0", 0},
		"two elements":           {"\x82\x02\x00", 0},
		"four elements":          {"\x84\x02\x00\xa0\x00", 0},
		"more behind it":         {"\x83\x02\x00\xa0\x00", 0},
		"kind 0":                 {"\x83\x00\x00\xa0", 0},
		"kind 6":                 {"\x83\x06\x00\xa0", 0},
		"kind 258 for 2":         {"\x83\x19\x01\x02\x00\xa0", 0},
		"negative id":            {"\x83\x02\x20\xa0", 0},
		"message with id":        {"\x83\x02\x01\xa0", 0},
		"call without id":        {"\x83\x03\x00\xa0", 0},
		"text for a map":         {"\x83\x02\x00\x61x", 0},
		"map for a failure":      {"\x83\x05\x00\xa0", 0},
		"welcome that talks":     {"\x83\x01\x01\xa1\x61k\xf5", 0},
		"indefinite map":         {"\x83\x02\x00\xbf\xff", 0},
		"indefinite envelope":    {"\x9f\x02\x00\xa0\xff", 0},
		"key twice":              {"\x83\x02\x00\xa2\x61k\xf5\x61k\xf4", 0},
		"empty key":              {"\x83\x02\x00\xa1\x60\xf5", 0},
		"key that is a number":   {"\x83\x02\x00\xa1\x01\xf5", 0},
		"key that is bytes":      {"\x83\x02\x00\xa1\x41k\xf5", 0},
		"null":                   {"\x83\x02\x00\xa1\x61k\xf6", 0},
		"undefined":              {"\x83\x02\x00\xa1\x61k\xf7", 0},
		"simple value":           {"\x83\x02\x00\xa1\x61k\xf8\x63", 0},
		"bare negative":          {"\x83\x02\x00\xa1\x61k\x20", 0},
		"not UTF-8":              {"\x83\x02\x00\xa1\x61k\x61\xff", 0},
		"time of CBOR":           {"\x83\x02\x00\xa1\x61k\xc1\x00", 0},
		"bignum":                 {"\x83\x02\x00\xa1\x61k\xc2\x41\x01", 0},
		"short uuid":             {"\x83\x02\x00\xa1\x61k\xd8\x25\x41\x01", 0},
		"int64 that is text":     {"\x83\x02\x00\xa1\x61k\xd9\xf7\x00\x61x", 0},
		"int64 beyond":           {"\x83\x02\x00\xa1\x61k\xd9\xf7\x00\x1b\xff\xff\xff\xff\xff\xff\xff\xff", 0},
		"tag in a tag":           {"\x83\x02\x00\xa1\x61k\xd9\xf7\x00\xd9\xf7\x00\x00", 0},
		"private tag too many":   {"\x83\x02\x00\xa1\x61k\xd9\xf7\x05\x00", 1},
		"handle that never came": {"\x83\x02\x00\xa1\x61k\xd9\xf7\x02\x00", 0},
		"handle unnamed":         {"\x83\x02\x00\xa0", 1},
		"handle named twice":     {"\x83\x02\x00\xa2\x61k\xd9\xf7\x02\x00\x61l\xd9\xf7\x02\x00", 1},
		"handle beyond":          {"\x83\x02\x00\xa1\x61k\xd9\xf7\x02\x01", 1},
		"handle of negative":     {"\x83\x02\x00\xa1\x61k\xd9\xf7\x02\x20", 1},
		"handle beside failure":  {"\x83\x05\x00\x61x", 1},
		"too deep":               {"\x83\x02\x00\xa1\x61k" + string(bytes.Repeat([]byte{0x81}, 9)) + "\x00", 0},
		"far too deep":           {"\x83\x02\x00\xa1\x61k" + string(bytes.Repeat([]byte{0x81}, 60000)), 0},
		"huge array announced":   {"\x83\x02\x00\xa1\x61k\x9b\x00\x00\x00\x01\x00\x00\x00\x00", 0},
		"too long":               {"\x83\x02\x00\xa1\x61k\x5a\x00\x01\x00\x08" + string(make([]byte, 1<<16+8)), 0},
		"a long failure":         {"\x83\x05\x03\x78\x41" + strings.Repeat("x", maxCode+1), 0},
	} {
		if p, err := decode([]byte(c.data), tokens(c.handles)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: a %v, %v", name, p.kind, err)
		}
	}
}

// Rule: a decoded value does not share memory with the receive buffer.
func TestDecodeCopies(t *testing.T) {
	data, _, err := encode(packet{kind: kindMessage, dict: wire.Dict{"data": []byte("data"), "s": "text"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := decode(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if !reflect.DeepEqual(p.dict, wire.Dict{"data": []byte("data"), "s": "text"}) {
		t.Fatalf("now %v", p.dict)
	}
}

// Rule: no bytes panic; what is accepted means the same when it is sent on.
func FuzzDecode(f *testing.F) {
	for _, p := range samples() {
		data, handles, err := encode(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint8(len(handles)))
	}
	f.Add([]byte("\x83\x02\x00\xa2\x61k\xd9\xf7\x02\x00\x61l\xd9\xf7\x02\x00"), uint8(1))
	f.Add([]byte("\x83\x02\x00\xa1\x61k\xf9\x7e\x00"), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, n uint8) {
		p, err := decode(data, tokens(int(n%32)))
		if err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		again, handles, err := encode(p)
		if err != nil {
			if len(data) < wire.MaxMessage/4 { // short floats grow
				t.Fatal(err)
			}
			return
		}
		q, err := decode(again, objectsOf(handles))
		if err != nil || p.kind != q.kind || p.id != q.id || p.code != q.code && p.kind == kindFailure || !same(p.dict, q.dict) {
			t.Fatalf("%#v became %#v, %v", p, q, err)
		}
	})
}

// same is DeepEqual with doubles compared by their bits.
func same(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case wire.Dict:
		b, ok := b.(wire.Dict)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if !same(a[k], b[k]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}
