package xpcpeer

import (
	"io"
	"time"

	"github.com/fxamacker/cbor/v2"

	"portward/internal/wire"
)

// decode reads a packet that came with these objects. On success they are in
// its dictionary; on error they are still the caller's.
func decode(data []byte, objects []io.Closer) (packet, error) {
	if len(data) > maxPacket {
		return packet{}, malformed("%d bytes", len(data))
	}
	var v any
	if err := decoding.Unmarshal(data, &v); err != nil {
		return packet{}, malformed("%v", err)
	}
	p, body, err := envelope(v)
	if err != nil {
		return packet{}, err
	}
	if text, ok := body.(string); ok {
		p.code = text
		return p, noObjects(objects)
	}
	u := unflattener{objects: objects, used: make([]bool, len(objects))}
	if p.dict, err = u.dict(body.(map[string]any)); err != nil {
		return packet{}, err
	}
	if u.count != len(objects) {
		return packet{}, malformed("%d handles came, %d are named", len(objects), u.count)
	}
	return p, wire.Check(p.dict)
}

func noObjects(objects []io.Closer) error {
	if len(objects) > 0 {
		return malformed("handles beside a failure")
	}
	return nil
}

// envelope checks the outer array: which kind has which id and body.
func envelope(v any) (packet, any, error) {
	a, ok := v.([]any)
	if !ok || len(a) != 3 {
		return packet{}, nil, malformed("not an envelope")
	}
	k, ok1 := a[0].(uint64)
	id, ok2 := a[1].(uint64)
	m, isMap := a[2].(map[string]any)
	text, isText := a[2].(string)
	if !ok1 || !ok2 {
		return packet{}, nil, malformed("not an envelope")
	}
	switch kind(k) {
	case kindWelcome:
		ok = isMap && len(m) == 0
	case kindMessage:
		ok = isMap && id == 0
	case kindCall, kindReply:
		ok = isMap && id != 0
	case kindFailure:
		ok = isText && len(text) <= maxCode
	default:
		ok = false
	}
	if !ok || k > uint64(kindFailure) {
		return packet{}, nil, malformed("kind %d, id %d, with such a body", k, id)
	}
	return packet{kind: kind(k), id: id}, a[2], nil
}

// An unflattener turns the decoder's types into ours.
type unflattener struct {
	objects []io.Closer
	used    []bool
	count   int
}

func (u *unflattener) dict(m map[string]any) (wire.Dict, error) {
	d := make(wire.Dict, len(m))
	for k, v := range m {
		ours, err := u.value(v)
		if err != nil {
			return nil, err
		}
		d[k] = ours
	}
	return d, nil
}

func (u *unflattener) value(v any) (any, error) {
	switch v := v.(type) {
	case bool, uint64, float64, string, []byte:
		return v, nil
	case map[string]any:
		return u.dict(v)
	case []any:
		for i := range v {
			ours, err := u.value(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = ours
		}
		return v, nil
	case cbor.Tag:
		return u.tagged(v)
	}
	return nil, malformed("a value of no type of ours")
}

func (u *unflattener) tagged(t cbor.Tag) (any, error) {
	switch t.Number {
	case tagUUID:
		if b, ok := t.Content.([]byte); ok && len(b) == 16 {
			return wire.UUID(b), nil
		}
	case tagInt64:
		if n, ok := asInt64(t.Content); ok {
			return n, nil
		}
	case tagDate:
		if n, ok := asInt64(t.Content); ok {
			return time.Unix(0, n).UTC(), nil
		}
	case tagFD, tagEndpoint, tagSurface:
		if i, ok := t.Content.(uint64); ok {
			return u.handle(wire.HandleFD+wire.HandleKind(t.Number-tagFD), i)
		}
	}
	return nil, malformed("tag %d with such a content", t.Number)
}

func (u *unflattener) handle(k wire.HandleKind, i uint64) (any, error) {
	if i >= uint64(len(u.objects)) || u.used[i] {
		return nil, malformed("handle %d of %d, or named twice", i, len(u.objects))
	}
	u.used[i] = true
	u.count++
	return wire.Handle{Kind: k, Object: u.objects[i]}, nil
}

func closeAll(objects []io.Closer) {
	for _, o := range objects {
		o.Close()
	}
}

// A bundle is the parcel of transports that move bytes and objects.
type bundle struct {
	data    []byte
	handles []wire.Handle // our own
}

func (b *bundle) drop() {
	for _, h := range b.handles {
		h.Close()
	}
	b.handles = nil
}

// packBundle encodes p and duplicates its handles by dup.
func packBundle(p packet, dup func(wire.Handle) (wire.Handle, error)) (parcel, error) {
	data, handles, err := encode(p)
	if err != nil {
		return nil, err
	}
	b := &bundle{data: data}
	for _, h := range handles {
		own, err := dup(h)
		if err != nil {
			b.drop()
			return nil, err
		}
		b.handles = append(b.handles, own)
	}
	return b, nil
}
