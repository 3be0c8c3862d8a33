//go:build darwin || standin

package macos

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// What a struct of symbols is made of: functions, and these for data.
type (
	address uintptr // where the symbol is: types and errors of libxpc are compared by it
	value   uintptr // the pointer found there: constants such as CFStringRefs
)

// Each is filled at its first use. What a system lacks of these is found out when
// it is called, not before: a library that is short of one serves the others.
var (
	xpc      = sync.OnceValue(load[xpcSymbols])
	dispatch = sync.OnceValue(load[dispatchSymbols])
	system   = sync.OnceValue(load[systemSymbols])
)

// load opens the library that the struct S names and fills S from it.
func load[S any]() *S {
	s, _ := fill[S]()
	return s
}

// need is load for libraries that a system may lack: the error names the first
// symbol that is missing and not optional.
func need[S any]() (*S, error) {
	s, missing := fill[S]()
	if missing != "" {
		return nil, fmt.Errorf("%w: %s", ErrNoSymbol, missing)
	}
	return s, nil
}

func fill[S any]() (s *S, missing string) {
	s = new(S)
	v := reflect.ValueOf(s).Elem()
	lib := open(v.Type().Field(0).Tag.Get("lib"))
	for i := 1; i < v.NumField(); i++ {
		f := v.Type().Field(i)
		if !bind(lib, f, v.Field(i)) && missing == "" && !optional(f) {
			missing = f.Name
		}
	}
	return s, missing
}

func optional(f reflect.StructField) bool { return f.Tag.Get("c") == "optional" }

// open never closes: libraries stay. A missing one is a library without functions.
func open(path string) uintptr {
	lib, err := purego.Dlopen(file(path), purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return 0
	}
	return lib
}

// bind fills one field, or says that there is no such symbol. Absent functions
// that are optional stay nil, others say their name when they are called.
func bind(lib uintptr, f reflect.StructField, v reflect.Value) bool {
	at := lookup(lib, f.Name)
	field := reflect.NewAt(f.Type, unsafe.Pointer(v.UnsafeAddr()))
	if at == 0 {
		if f.Type.Kind() == reflect.Func && !optional(f) {
			field.Elem().Set(reflect.MakeFunc(f.Type, func([]reflect.Value) []reflect.Value {
				panic(fmt.Sprintf("%v: %s", ErrNoSymbol, f.Name))
			}))
		}
		return false
	}
	switch p := field.Interface().(type) {
	case *address:
		*p = address(at)
	case *value:
		*p = *(*value)(pointer(at))
	default:
		purego.RegisterFunc(p, at)
	}
	return true
}

func lookup(lib uintptr, name string) uintptr {
	if lib == 0 {
		return 0
	}
	at, err := purego.Dlsym(lib, name)
	if err != nil {
		return 0
	}
	return at
}

// pointer is for addresses that C gave us, which the collector does not move.
func pointer(at uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&at)) }

// text copies a C string, of which it reads no more than most bytes; NULL is "".
func text(p unsafe.Pointer, most int) string {
	if p == nil {
		return ""
	}
	n := 0
	for n < most && *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}
