//go:build darwin || standin

package xpcpeer

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"portward/internal/macos"
	"portward/internal/wire"
)

// checkHello: exactly one key, whose value is protocol, the one version there is.
func checkHello(m macos.Ref) error {
	v := macos.XPCDictionaryGetValue(m, keyHello)
	if v == 0 || macos.XPCTypeOf(v) != macos.XPCTypeUint64 || macos.XPCDictionaryGetCount(m) != 1 {
		return malformed("no hello")
	}
	if n := macos.XPCUint64GetValue(v); n != protocol {
		return malformed("a hello of protocol %d", n)
	}
	return nil
}

// unpackWelcome reads the answer to a hello.
func unpackWelcome(reply macos.Ref) (packet, error) {
	v := macos.XPCDictionaryGetValue(reply, keyWelcome)
	if v != 0 && macos.XPCTypeOf(v) == macos.XPCTypeUint64 && macos.XPCDictionaryGetCount(reply) == 1 {
		return packet{kind: kindWelcome, id: macos.XPCUint64GetValue(v)}, nil
	}
	p, ok := unpackFailure(reply, 0)
	if !ok {
		return packet{}, malformed("no welcome")
	}
	return p, nil
}

func unpackFailure(reply macos.Ref, id uint64) (packet, bool) {
	v := macos.XPCDictionaryGetValue(reply, keyFailure)
	if v == 0 || macos.XPCTypeOf(v) != macos.XPCTypeString || macos.XPCDictionaryGetCount(reply) != 1 ||
		macos.XPCStringGetLength(v) > maxCode {
		return packet{}, false
	}
	return packet{kind: kindFailure, id: id, code: macos.XPCStringGetValue(v)}, true
}

func unpackReply(reply macos.Ref, id uint64) (packet, error) {
	if macos.XPCTypeOf(reply) != macos.XPCTypeDictionary {
		return packet{}, malformed("a reply that is no dictionary")
	}
	if p, ok := unpackFailure(reply, id); ok {
		return p, nil
	}
	d, err := unpackXPC(reply)
	return packet{kind: kindReply, id: id, dict: d}, err
}

// unpackXPC copies a dictionary, which is checked before it is copied: nothing of
// it is worth more memory than wire.MaxMessage. On an error its handles are closed.
func unpackXPC(m macos.Ref) (wire.Dict, error) {
	var u unpacker
	d, err := u.dict(m, 1)
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// An unpacker turns libxpc's types into ours.
type unpacker struct{ size, entries, handles int }

// dict answers what it has read also when it fails.
func (u *unpacker) dict(x macos.Ref, depth int) (d wire.Dict, err error) {
	d = make(wire.Dict, min(macos.XPCDictionaryGetCount(x), wire.MaxEntries))
	macos.XPCDictionaryApply(x, wire.MaxKey, func(key string, v macos.Ref) bool {
		if err = u.key(key); err == nil {
			var ours any
			ours, err = u.value(v, depth)
			if ours != nil {
				d[key] = ours
			}
		}
		return err == nil
	})
	return d, err
}

func (u *unpacker) key(key string) error {
	switch {
	case key == "" || len(key) > wire.MaxKey || !utf8.ValidString(key):
		return malformed("a key that is empty, longer than %d bytes or no UTF-8", wire.MaxKey)
	case strings.HasPrefix(key, reserved):
		return malformed("key %q, which is not for messages", key)
	}
	return u.count(len(key))
}

func (u *unpacker) array(x macos.Ref, depth int) ([]any, error) {
	n := macos.XPCArrayGetCount(x)
	if n > wire.MaxEntries {
		return nil, malformed("more than %d entries", wire.MaxEntries)
	}
	a := make([]any, 0, n)
	for i := range n {
		v, err := u.value(macos.XPCArrayGetValue(x, i), depth)
		if v != nil {
			a = append(a, v)
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

func (u *unpacker) count(n int) error {
	if u.size += n; u.size > wire.MaxMessage {
		return malformed("more than %d bytes", wire.MaxMessage)
	}
	return nil
}

// value answers nil, or something with handles in it, beside an error.
func (u *unpacker) value(v macos.Ref, depth int) (any, error) {
	if u.entries++; u.entries > wire.MaxEntries {
		return nil, malformed("more than %d entries", wire.MaxEntries)
	}
	if err := u.count(perValue); err != nil {
		return nil, err
	}
	switch t := macos.XPCTypeOf(v); t {
	case macos.XPCTypeBool:
		return macos.XPCBoolGetValue(v), nil
	case macos.XPCTypeInt64:
		return macos.XPCInt64GetValue(v), nil
	case macos.XPCTypeUint64:
		return macos.XPCUint64GetValue(v), nil
	case macos.XPCTypeDouble:
		return macos.XPCDoubleGetValue(v), nil
	case macos.XPCTypeDate:
		return time.Unix(0, macos.XPCDateGetValue(v)).UTC(), nil
	case macos.XPCTypeUUID:
		return wire.UUID(macos.XPCUUIDGetValue(v)), nil
	case macos.XPCTypeData:
		if err := u.count(macos.XPCDataGetLength(v)); err != nil {
			return nil, err
		}
		return macos.XPCDataGetValue(v), nil
	case macos.XPCTypeString:
		return u.text(v)
	case macos.XPCTypeArray, macos.XPCTypeDictionary:
		return u.container(v, t, depth+1)
	case macos.XPCTypeFD, macos.XPCTypeEndpoint, macos.XPCTypeOther:
		return u.handle(v)
	default:
		return nil, malformed("a value of type %v", t)
	}
}

func (u *unpacker) text(v macos.Ref) (any, error) {
	if err := u.count(macos.XPCStringGetLength(v)); err != nil {
		return nil, err
	}
	s := macos.XPCStringGetValue(v)
	if !utf8.ValidString(s) {
		return nil, malformed("a string that is not UTF-8")
	}
	return s, nil
}

func (u *unpacker) container(v macos.Ref, t macos.XPCType, depth int) (any, error) {
	if t == macos.XPCTypeDictionary {
		if fd := macos.XPCDictionaryGetValue(v, keySurface); fd != 0 && macos.XPCDictionaryGetCount(v) == 1 {
			return u.file(fd, wire.HandleSurface)
		}
	}
	if depth > wire.MaxDepth {
		return nil, malformed("deeper than %d", wire.MaxDepth)
	}
	if t == macos.XPCTypeArray {
		return u.array(v, depth)
	}
	return u.dict(v, depth)
}

// handle is a descriptor of our own, or a reference.
func (u *unpacker) handle(v macos.Ref) (any, error) {
	k := kindOf(v)
	if k == wire.HandleFD {
		return u.file(v, k)
	}
	if err := u.oneMore(); err != nil {
		return nil, err
	}
	return wire.Handle{Kind: k, Object: macos.NewObject(macos.XPCRetain(v))}, nil
}

func (u *unpacker) oneMore() error {
	if u.handles++; u.handles > wire.MaxHandles {
		return malformed("more than %d handles", wire.MaxHandles)
	}
	return nil
}

func (u *unpacker) file(v macos.Ref, k wire.HandleKind) (any, error) {
	if macos.XPCTypeOf(v) != macos.XPCTypeFD {
		return nil, malformed("a %v without a descriptor", k)
	}
	if err := u.oneMore(); err != nil {
		return nil, err
	}
	fd, err := dupXPC(v)
	if err != nil {
		return nil, fmt.Errorf("taking a descriptor: %w", err)
	}
	return wire.Handle{Kind: k, Object: os.NewFile(uintptr(fd), "handle")}, nil
}

// dupXPC keeps the descriptor, which libxpc leaves open in children, from one
// that is being forked.
func dupXPC(v macos.Ref) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := macos.XPCFDDup(v)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	return fd, err
}
