//go:build darwin || standin

package xpcpeer

import (
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"portward/internal/macos"
	"portward/internal/wire"
)

// The keys of ours. A surface that is shared memory and no IOSurface is a
// dictionary with its descriptor under keySurface.
const (
	keyHello   = reserved + "hello"
	keyWelcome = reserved + "welcome"
	keyFailure = reserved + "failure"
	keySurface = reserved + "surface"
)

// perValue is what a value costs beside its bytes, against wire.MaxMessage.
const perValue = 8

// An xpcParcel is a dictionary as it is sent; replies copy its pairs.
type xpcParcel struct {
	kind    kind
	id      uint64
	dict    macos.Ref
	handles bool
}

func (x *xpcParcel) drop() {
	macos.XPCRelease(x.dict)
	x.dict = 0
}

func packXPC(p packet) (parcel, error) {
	x := &xpcParcel{kind: p.kind, id: p.id}
	switch p.kind {
	case kindWelcome:
		x.dict = single(keyWelcome, macos.XPCUint64Create(p.id))
		x.id = 0
	case kindFailure:
		x.dict = single(keyFailure, macos.XPCStringCreate(p.code))
	default:
		if err := wire.Check(p.dict); err != nil {
			return nil, err
		}
		var k packer
		var err error
		if x.dict, err = k.dict(p.dict); err != nil {
			return nil, err
		}
		x.handles = k.handles
	}
	return x, nil
}

// single is a dictionary of one value, which it takes over.
func single(key string, v macos.Ref) macos.Ref {
	d := macos.XPCDictionaryCreate()
	macos.XPCDictionarySetValue(d, key, v)
	macos.XPCRelease(v)
	return d
}

// A packer turns our types into libxpc's.
type packer struct {
	size    int
	handles bool
}

func (k *packer) dict(d wire.Dict) (macos.Ref, error) {
	x := macos.XPCDictionaryCreate()
	for key, v := range d {
		ref, err := k.entry(key, v)
		if err != nil {
			macos.XPCRelease(x)
			return 0, err
		}
		macos.XPCDictionarySetValue(x, key, ref)
		macos.XPCRelease(ref)
	}
	return x, nil
}

func (k *packer) entry(key string, v any) (macos.Ref, error) {
	if !utf8.ValidString(key) {
		return 0, malformed("a key that is not UTF-8")
	}
	if strings.HasPrefix(key, reserved) {
		return 0, malformed("key %q, which is not for messages", key)
	}
	if err := k.count(len(key)); err != nil {
		return 0, err
	}
	return k.value(v)
}

func (k *packer) array(a []any) (macos.Ref, error) {
	x := macos.XPCArrayCreate()
	for _, v := range a {
		ref, err := k.value(v)
		if err != nil {
			macos.XPCRelease(x)
			return 0, err
		}
		macos.XPCArrayAppendValue(x, ref)
		macos.XPCRelease(ref)
	}
	return x, nil
}

func (k *packer) count(n int) error {
	if k.size += n; k.size > wire.MaxMessage {
		return malformed("more than %d bytes", wire.MaxMessage)
	}
	return nil
}

// value answers a reference of the caller's own.
func (k *packer) value(v any) (macos.Ref, error) {
	if err := k.count(perValue + lengthOf(v)); err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case bool:
		return macos.XPCBoolCreate(v), nil
	case int64:
		return macos.XPCInt64Create(v), nil
	case uint64:
		return macos.XPCUint64Create(v), nil
	case float64:
		return macos.XPCDoubleCreate(v), nil
	case []byte:
		return macos.XPCDataCreate(v), nil
	case wire.UUID:
		return macos.XPCUUIDCreate(v), nil
	case string:
		return packString(v)
	case time.Time:
		return packDate(v)
	case wire.Handle:
		k.handles = true
		return packHandle(v)
	case wire.Dict:
		return k.dict(v)
	case []any:
		return k.array(v)
	}
	return 0, malformed("a %T", v) // wire.Check let none pass
}

func lengthOf(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	}
	return 0
}

func packString(s string) (macos.Ref, error) {
	if !utf8.ValidString(s) {
		return 0, malformed("a string that is not UTF-8")
	}
	return macos.XPCStringCreate(s), nil
}

func packDate(t time.Time) (macos.Ref, error) {
	ns := t.UnixNano()
	if !time.Unix(0, ns).Equal(t) {
		return 0, malformed("a date outside of 1678 to 2262")
	}
	return macos.XPCDateCreate(ns), nil
}

// packHandle refuses what libxpc could not mean: the kind names the object.
func packHandle(h wire.Handle) (macos.Ref, error) {
	if f, ok := h.File(); ok && h.Kind != wire.HandleEndpoint {
		fd, err := packFile(f)
		if err == nil && h.Kind == wire.HandleSurface {
			fd = single(keySurface, fd)
		}
		return fd, err
	}
	ref, ok := retained(h)
	if !ok {
		return 0, malformed("a %v that is a %T", h.Kind, h.Object)
	}
	if kindOf(ref) != h.Kind {
		macos.XPCRelease(ref)
		return 0, malformed("a %v that is another object", h.Kind)
	}
	return ref, nil
}

func packFile(f *os.File) (ref macos.Ref, err error) {
	err = withFD(f, func(fd int) error {
		if ref = macos.XPCFDCreate(fd); ref == 0 {
			return malformed("a descriptor that libxpc does not take")
		}
		return nil
	})
	return ref, err
}

// kindOf is what an XPC object would be as a handle, 0 if it is none. IOSurfaces
// travel as rights of a type that has no public name; whether such a right is a
// surface is for who looks it up to find out.
func kindOf(o macos.Ref) wire.HandleKind {
	switch macos.XPCTypeOf(o) {
	case macos.XPCTypeFD:
		return wire.HandleFD
	case macos.XPCTypeEndpoint:
		return wire.HandleEndpoint
	case macos.XPCTypeOther:
		return wire.HandleSurface
	}
	return 0
}
