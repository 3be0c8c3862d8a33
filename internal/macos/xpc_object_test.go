//go:build darwin || standin

package macos_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	. "portward/internal/macos"
)

// Rule: a getter answers zero for an object of any other type; nothing ends the
// process.
func TestWrongTypes(t *testing.T) {
	checkLive(t)
	fd, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	all := []Ref{XPCBoolCreate(true), XPCInt64Create(7), XPCUint64Create(7), XPCDoubleCreate(7), XPCDateCreate(7),
		XPCStringCreate("7"), XPCDataCreate([]byte("7")), XPCUUIDCreate([16]byte{7}), XPCFDCreate(int(fd.Fd())), XPCArrayCreate(), XPCDictionaryCreate()}
	types := []XPCType{XPCTypeBool, XPCTypeInt64, XPCTypeUint64, XPCTypeDouble, XPCTypeDate,
		XPCTypeString, XPCTypeData, XPCTypeUUID, XPCTypeFD, XPCTypeArray, XPCTypeDictionary}
	for i, o := range all {
		if got := XPCTypeOf(o); got != types[i] {
			t.Errorf("type %v, want %v", got, types[i])
		}
		if e := XPCErrorOf(o); e != XPCNotError {
			t.Errorf("%v: %v", types[i], e)
		}
		if got, want := answers(o), slices.Contains([]XPCType{XPCTypeArray, XPCTypeDictionary}, types[i]); (got == 0) != want || got > 1 {
			t.Errorf("%v: %d getters answer", types[i], got)
		}
		if d := XPCDescription(o); d == "" {
			t.Errorf("%v: no description", types[i])
		}
		XPCRelease(o)
	}
}

// answers counts the getters that have a value to give.
func answers(o Ref) (n int) {
	fd, err := XPCFDDup(o)
	if err == nil {
		os.NewFile(uintptr(fd), "").Close()
	}
	if n := XPCStringGetLength(o); n != len(XPCStringGetValue(o)) || n == 0 != (XPCTypeOf(o) != XPCTypeString) {
		return -1
	}
	if n := XPCDataGetLength(o); n != len(XPCDataGetValue(o)) || n == 0 != (XPCTypeOf(o) != XPCTypeData) {
		return -1
	}
	for _, is := range []bool{XPCBoolGetValue(o), XPCInt64GetValue(o) != 0, XPCUint64GetValue(o) != 0, XPCDoubleGetValue(o) != 0,
		XPCDateGetValue(o) != 0, XPCStringGetValue(o) != "", len(XPCDataGetValue(o)) > 0, XPCUUIDGetValue(o) != [16]byte{}, err == nil} {
		if is {
			n++
		}
	}
	return n
}

// Rule: a bad descriptor makes no object.
func TestBadDescriptor(t *testing.T) {
	checkLive(t)
	if o := XPCFDCreate(1 << 20); o != 0 {
		t.Errorf("object %v of a descriptor that is none", XPCDescription(o))
		XPCRelease(o)
	}
	s := XPCStringCreate("")
	defer XPCRelease(s)
	if fd, err := XPCFDDup(s); err == nil {
		t.Errorf("descriptor %d of a string", fd)
	}
}

// Rule: values of every width and size come back as they were put in.
func TestValues(t *testing.T) {
	checkLive(t)
	long := strings.Repeat("ä€😀", 5000)
	for _, v := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		same(t, v, XPCInt64Create(v), XPCInt64GetValue)
		same(t, v, XPCDateCreate(v), XPCDateGetValue)
		same(t, uint64(v), XPCUint64Create(uint64(v)), XPCUint64GetValue)
	}
	for _, v := range []float64{0, -0.5, math.Inf(1), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		same(t, v, XPCDoubleCreate(v), XPCDoubleGetValue)
	}
	for _, v := range []string{"", "a", long} {
		same(t, v, XPCStringCreate(v), XPCStringGetValue)
		same(t, len(v), XPCStringCreate(v), XPCStringGetLength)
		same(t, v, XPCDataCreate([]byte(v)), func(o Ref) string { return string(XPCDataGetValue(o)) })
		same(t, len(v), XPCDataCreate([]byte(v)), XPCDataGetLength)
	}
	same(t, "a", XPCStringCreate("a\x00b"), XPCStringGetValue)
	same(t, "a\x00b", XPCDataCreate([]byte("a\x00b")), func(o Ref) string { return string(XPCDataGetValue(o)) })
	same(t, true, XPCBoolCreate(true), XPCBoolGetValue)
	same(t, false, XPCBoolCreate(false), XPCBoolGetValue)
	id := [16]byte{0: 1, 15: 255}
	same(t, id, XPCUUIDCreate(id), XPCUUIDGetValue)
}

func same[T comparable](t *testing.T, want T, o Ref, get func(Ref) T) {
	t.Helper()
	defer XPCRelease(o)
	if got := get(o); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// Rule: what is taken out is Go's own: it outlives the object.
func TestCopies(t *testing.T) {
	checkLive(t)
	data, text := XPCDataCreate([]byte("bytes")), XPCStringCreate("text")
	b, s := XPCDataGetValue(data), XPCStringGetValue(text)
	b2 := XPCDataGetValue(data)
	b2[0] = 'B'
	XPCRelease(data)
	XPCRelease(text)
	runtime.GC()
	if !bytes.Equal(b, []byte("bytes")) || s != "text" {
		t.Errorf("%q %q", b, s)
	}
}

// Rule: a descriptor in an object, and one out of it, are their own.
func TestDescriptor(t *testing.T) {
	checkLive(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o := XPCFDCreate(int(w.Fd()))
	w.Close()
	fd, err := XPCFDDup(o)
	XPCRelease(o)
	if err != nil {
		t.Fatal(err)
	}
	dup := os.NewFile(uintptr(fd), "dup")
	if _, err := dup.WriteString("x"); err != nil {
		t.Error(err)
	}
	dup.Close()
	b := make([]byte, 2)
	if n, err := r.Read(b); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := r.Read(b); n != 0 || err == nil {
		t.Error("a copy of the descriptor is still open")
	}
}

// Rule: containers own what is in them, lend it, and keep the arrays' order.
func TestContainers(t *testing.T) {
	checkLive(t)
	a := XPCArrayCreate()
	for i := range int64(100) {
		v := XPCInt64Create(i)
		XPCArrayAppendValue(a, v)
		XPCRelease(v)
	}
	for i := range XPCArrayGetCount(a) {
		if got := XPCInt64GetValue(XPCArrayGetValue(a, i)); got != int64(i) {
			t.Errorf("value %d is %d", i, got)
		}
	}
	d := XPCDictionaryCreate()
	set(d, "array", a)
	set(d, "gone", XPCBoolCreate(true))
	set(d, "twice", XPCInt64Create(1))
	set(d, "twice", XPCInt64Create(2))
	XPCDictionarySetValue(d, "gone", 0)
	XPCDictionarySetValue(d, "never was", 0)
	if got := XPCInt64GetValue(XPCDictionaryGetValue(d, "twice")); got != 2 || XPCDictionaryGetCount(d) != 2 {
		t.Error(got, XPCDictionaryGetCount(d))
	}
	if XPCDictionaryGetValue(d, "gone") != 0 {
		t.Error("a removed key")
	}
	if XPCDictionaryCreateReply(d) != 0 {
		t.Error("a dictionary that nobody sent has an asker")
	}
	kept := XPCRetain(XPCDictionaryGetValue(d, "array"))
	XPCRelease(d)
	if XPCArrayGetCount(kept) != 100 {
		t.Error("a retained value went with its container")
	}
	XPCRelease(kept)
}

// Rule: apply visits each pair once, and stops when told; of a key that is too
// long there is as much as shows that; a handler may make
// and release objects and apply again.
func TestApply(t *testing.T) {
	checkLive(t)
	d := XPCDictionaryCreate()
	defer XPCRelease(d)
	want := []string{"a", "b", "", "ü"}
	for i, key := range want {
		set(d, key, XPCInt64Create(int64(i)))
	}
	var seen []string
	whole := XPCDictionaryApply(d, 2, func(key string, v Ref) bool {
		if XPCTypeOf(v) != XPCTypeInt64 {
			t.Error(XPCTypeOf(v))
		}
		XPCRelease(XPCStringCreate(key))
		XPCDictionaryApply(d, 2, func(string, Ref) bool { return true })
		seen = append(seen, key)
		return true
	})
	slices.Sort(seen)
	slices.Sort(want)
	if !whole || !slices.Equal(seen, want) {
		t.Error(whole, seen)
	}
	n := 0
	if XPCDictionaryApply(d, 2, func(string, Ref) bool { n++; return n < 2 }) || n != 2 {
		t.Error("told to stop at 2, stopped at", n)
	}
	long := XPCDictionaryCreate()
	defer XPCRelease(long)
	set(long, strings.Repeat("k", 1<<20), XPCBoolCreate(true))
	XPCDictionaryApply(long, 7, func(key string, _ Ref) bool {
		if key != "kkkkkkkk" {
			t.Errorf("a key of %d bytes, cut to %d", 1<<20, len(key))
		}
		return true
	})
}

// Rule: what a library lacks is an error that says so and names it.
func TestNoSymbol(t *testing.T) {
	if _, err := NeedMissing(); !errors.Is(err, ErrNoSymbol) || !strings.HasSuffix(err.Error(), "no_such_function_of_ours") {
		t.Error(err)
	}
	defer func() {
		if r, _ := recover().(string); !strings.Contains(r, "no_such_function_of_ours") {
			t.Error(r)
		}
	}()
	CallMissing()
}
