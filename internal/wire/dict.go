package wire

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A Dict is a message: string keys and values of XPC's own types (xpc/xpc.h).
//
//	bool        bool          string      string
//	int64       int64         data        []byte
//	uint64      uint64        date        time.Time
//	double      float64       uuid        UUID
//	array       []any         dictionary  Dict
//	fd, endpoint, surface     Handle
//
// Nothing else may appear; Check refuses it. Handles in a Dict that is sent
// stay the sender's, the transport duplicates them. Handles in a Dict that was
// received belong to the receiver: Take them, or Close closes what is left.
type Dict map[string]any

// UUID is XPC's uuid_t: sixteen bytes.
type UUID [16]byte

// HandleKind says what a Handle refers to.
type HandleKind uint8

// The three kinds of kernel object a message can carry.
const (
	HandleFD HandleKind = iota + 1
	HandleEndpoint
	HandleSurface
)

func (k HandleKind) String() string {
	switch k {
	case HandleFD:
		return "fd"
	case HandleEndpoint:
		return "endpoint"
	case HandleSurface:
		return "surface"
	}
	return fmt.Sprintf("HandleKind(%d)", uint8(k))
}

// A Handle is a kernel object inside a Dict. What Object is depends on the
// transport: an *os.File on Unix, a retained XPC object on macOS.
type Handle struct {
	Kind   HandleKind
	Object io.Closer
}

// File answers the descriptor behind the handle, if that is what it is.
func (h Handle) File() (*os.File, bool) {
	f, ok := h.Object.(*os.File)
	return f, ok && f != nil
}

// Close lets go of the handle. The zero Handle closes without effect.
func (h Handle) Close() error {
	if h.Object == nil {
		return nil
	}
	return h.Object.Close()
}

// FD wraps a descriptor for a Dict.
func FD(f *os.File) Handle { return Handle{HandleFD, f} }

// Surface wraps a descriptor that names shared pixels.
func Surface(f *os.File) Handle { return Handle{HandleSurface, f} }

// Limits on one message, whatever carries it.
const (
	MaxMessage = 64 << 10 // bytes of an encoded Dict
	MaxDepth   = 8        // arrays and dictionaries inside each other
	MaxEntries = 512      // keys and elements in all
	MaxKey     = 128      // bytes of a key
	MaxHandles = 16       // handles in all
)

// ErrMalformed is wrapped by every refusal of a message's form.
var ErrMalformed = errors.New("malformed message")

// Check refuses a Dict with a value that no transport carries, or beyond the limits.
func Check(d Dict) error {
	c := checker{}
	return c.dict(d, 1)
}

type checker struct{ entries, handles int }

func (c *checker) dict(d Dict, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: deeper than %d", ErrMalformed, MaxDepth)
	}
	for k, v := range d {
		if len(k) == 0 || len(k) > MaxKey || strings.IndexByte(k, 0) >= 0 {
			return fmt.Errorf("%w: key of %d bytes, or with a NUL", ErrMalformed, len(k))
		}
		if err := c.value(v, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) value(v any, depth int) error {
	if c.entries++; c.entries > MaxEntries {
		return fmt.Errorf("%w: more than %d entries", ErrMalformed, MaxEntries)
	}
	switch v := v.(type) {
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return fmt.Errorf("%w: a string with a NUL, which XPC cannot carry", ErrMalformed)
		}
		return nil
	case bool, int64, uint64, float64, []byte, time.Time, UUID:
		return nil
	case Handle:
		if c.handles++; c.handles > MaxHandles {
			return fmt.Errorf("%w: more than %d handles", ErrMalformed, MaxHandles)
		}
		if v.Kind < HandleFD || v.Kind > HandleSurface || v.Object == nil {
			return fmt.Errorf("%w: empty %v handle", ErrMalformed, v.Kind)
		}
		return nil
	case Dict:
		return c.dict(v, depth+1)
	case []any:
		if depth+1 > MaxDepth {
			return fmt.Errorf("%w: deeper than %d", ErrMalformed, MaxDepth)
		}
		for _, e := range v {
			if err := c.value(e, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: a value of type %T", ErrMalformed, v)
}

// Walk calls f for every handle in d, in no particular order of keys.
func Walk(d Dict, f func(Handle)) {
	for _, v := range d {
		walk(v, f)
	}
}

func walk(v any, f func(Handle)) {
	switch v := v.(type) {
	case Handle:
		f(v)
	case Dict:
		Walk(v, f)
	case []any:
		for _, e := range v {
			walk(e, f)
		}
	}
}

// Close closes every handle that was not taken.
func (d Dict) Close() { Walk(d, func(h Handle) { h.Close() }) }

// Get answers the value under key if it has type T: Get[string](d, "kind").
func Get[T any](d Dict, key string) (T, bool) {
	v, ok := d[key].(T)
	return v, ok
}

// Take removes the handle of the given kind under key; the caller owns it.
func (d Dict) Take(key string, kind HandleKind) (Handle, bool) {
	h, ok := d[key].(Handle)
	if !ok || h.Kind != kind {
		return Handle{}, false
	}
	delete(d, key)
	return h, true
}

// TakeAll removes the array under key if every element is a handle of the given kind.
func (d Dict) TakeAll(key string, kind HandleKind) ([]Handle, bool) {
	a, ok := d[key].([]any)
	if !ok {
		return nil, false
	}
	hs := make([]Handle, len(a))
	for i, e := range a {
		h, ok := e.(Handle)
		if !ok || h.Kind != kind {
			return nil, false
		}
		hs[i] = h
	}
	delete(d, key)
	return hs, true
}
