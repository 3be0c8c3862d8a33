package wire

import (
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits on the fields of messages. A value beyond one is ErrMalformed.
const (
	MaxString   = 256                 // bytes of a text; valid UTF-8 without control characters
	MaxSession  = 64                  // bytes of a session's id: ASCII letters, digits, '_', '-'
	MaxSessions = 64                  // sessions in one list
	MaxSide     = 16384               // pixels of a width or height
	MaxStride   = 4 * MaxSide         // bytes of a row; a multiple of four
	MaxFormat   = 1<<32 - 1           // a four-character code
	MaxUID      = 1<<32 - 1           // a user id
	MaxLife     = 1<<32 - 1           // a life that a supervisor tells: nobody counts further
	MaxDuration = 30 * 24 * time.Hour // any span of time
	MaxLease    = 24 * time.Hour      // from now to the end of a lease; a later end is brought forward
	Slots       = 3                   // frames of a chain that are out at once
	MaxChains   = 8                   // screens of a login, one to a chain
	MaxSlots    = 8                   // surfaces of a chain, one to a slot
)

// A fields reads one message. The first fault sticks; handles are only noted,
// finish takes them out of the Dict when everything was as it should be.
type fields struct {
	d     Dict
	err   error
	taken []string
}

func open(d Dict, kind Kind) *fields {
	f := &fields{d: d}
	switch k, err := KindOf(d); {
	case err != nil:
		f.err = err
	case k != kind:
		f.err = fmt.Errorf("%w: %s instead of %s", ErrMalformed, k, kind)
	}
	return f
}

// openReply is open for kinds that answer a call: a Refusal becomes the error.
func openReply(d Dict, kind Kind) *fields {
	if k, err := KindOf(d); err == nil && k == KindRefusal {
		r, err := ParseRefusal(d)
		if err == nil {
			err = r
		}
		return &fields{d: d, err: err}
	}
	return open(d, kind)
}

// finish answers v and takes its handles out of the Dict, or nothing and the fault.
func finish[T any](f *fields, v T) (T, error) {
	if f.err != nil {
		var none T
		return none, f.err
	}
	for _, k := range f.taken {
		delete(f.d, k)
	}
	return v, nil
}

func (f *fields) fault(key, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: field %s: %s", ErrMalformed, key, fmt.Sprintf(format, args...))
	}
}

// field answers the value under key, which must be there and of type T.
func field[T any](f *fields, key string) T {
	v, ok := Get[T](f.d, key)
	if !ok {
		f.fault(key, "missing or of a wrong type")
	}
	return v
}

func (f *fields) uint(key string, low, high uint64) uint64 {
	v := field[uint64](f, key)
	if f.err == nil && (v < low || v > high) {
		f.fault(key, "%d is not in %d..%d", v, low, high)
	}
	return v
}

func (f *fields) duration(key string) time.Duration {
	v := field[int64](f, key)
	if f.err == nil && (v < 0 || v > int64(MaxDuration)) {
		f.fault(key, "%d ns is not in 0..%d", v, int64(MaxDuration))
	}
	return time.Duration(v)
}

func (f *fields) text(key string) string {
	v := field[string](f, key)
	switch {
	case len(v) > MaxString:
		f.fault(key, "longer than %d bytes", MaxString)
	case v != clean(v):
		f.fault(key, "not printable text")
	}
	return v
}

// oneOf is for texts that can only be one of a few.
func oneOf[T ~string](f *fields, key string, all ...T) T {
	v := f.text(key)
	for _, a := range all {
		if v == string(a) {
			return a
		}
	}
	f.fault(key, "%q is not known", v)
	return ""
}

func (f *fields) session(key string) string {
	v := field[string](f, key)
	if f.err == nil && !validSession(v) {
		f.fault(key, "not the id of a session")
	}
	return v
}

func validSession(s string) bool {
	if s == "" || len(s) > MaxSession {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func (f *fields) sessions(key string) []SessionInfo {
	list := field[[]any](f, key)
	if len(list) > MaxSessions {
		f.fault(key, "more than %d", MaxSessions)
		return nil
	}
	all := make([]SessionInfo, 0, len(list))
	seen := map[string]bool{}
	for _, e := range list {
		d, ok := e.(Dict)
		if !ok {
			f.fault(key, "not dictionaries")
			return nil
		}
		in := fields{d: d, err: f.err}
		s := SessionInfo{ID: in.session("id"), UID: in.uint("uid", 0, MaxUID)}
		f.err = in.err
		if seen[s.ID] {
			f.fault(key, "%q twice", s.ID)
		}
		seen[s.ID] = true
		all = append(all, s)
	}
	return all
}

// optionalUint answers 0 where there is none.
func (f *fields) optionalUint(key string, low, high uint64) uint64 {
	if _, there := f.d[key]; !there {
		return 0
	}
	return f.uint(key, low, high)
}

// optionalDate answers the zero time where there is none.
func (f *fields) optionalDate(key string) time.Time {
	if _, there := f.d[key]; !there {
		return time.Time{}
	}
	return field[time.Time](f, key)
}

// optional answers the zero Handle where there is none.
func (f *fields) optional(key string, kind HandleKind) Handle {
	if _, there := f.d[key]; !there {
		return Handle{}
	}
	return f.handle(key, kind)
}

func (f *fields) handle(key string, kind HandleKind) Handle {
	h := field[Handle](f, key)
	if f.err == nil && (h.Kind != kind || h.Object == nil) {
		f.fault(key, "not a handle of kind %v", kind)
	}
	f.taken = append(f.taken, key)
	return h
}

func (f *fields) handles(key string, kind HandleKind, low, high int) []Handle {
	list := field[[]any](f, key)
	if len(list) < low || len(list) > high {
		f.fault(key, "%d handles are not %d to %d", len(list), low, high)
		return nil
	}
	all := make([]Handle, len(list))
	for i, e := range list {
		h, ok := e.(Handle)
		if !ok || h.Kind != kind || h.Object == nil {
			f.fault(key, "not handles of kind %v", kind)
			return nil
		}
		all[i] = h
	}
	f.taken = append(f.taken, key)
	return all
}

// clean makes a text printable: no control characters, valid UTF-8, within MaxString.
func clean(s string) string {
	if plain(s) && len(s) <= MaxString {
		return s
	}
	b := make([]byte, 0, MaxString)
	for _, r := range s {
		if unicode.IsControl(r) {
			r = ' '
		}
		if len(b)+utf8.RuneLen(r) > MaxString {
			break
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

func plain(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}
