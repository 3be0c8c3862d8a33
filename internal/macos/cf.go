//go:build darwin || standin

package macos

import (
	"sync"
	"unsafe"
)

var cf = sync.OnceValues(need[cfSymbols])

const (
	kCFStringEncodingUTF8 uint32 = 0x08000100 // CFString.h
	kCFNumberSInt64Type   int64  = 4          // CFNumber.h
)

// CFRetain is CFRetain, CFBase.h, macOS 10.0, of an object that is there.
func CFRetain(o Ref) Ref {
	c, err := cf()
	if err != nil {
		return 0
	}
	return c.CFRetain(o)
}

// CFRelease is CFRelease, CFBase.h, macOS 10.0. 0 is let pass.
func CFRelease(o Ref) {
	if c, err := cf(); err == nil && o != 0 {
		c.CFRelease(o)
	}
}

// cfString makes a CFString that the caller releases; 0 if s is no UTF-8.
func (c *cfSymbols) cfString(s string) Ref {
	return c.CFStringCreateWithBytes(0, unsafe.Pointer(unsafe.StringData(s)), int64(len(s)), kCFStringEncodingUTF8, false)
}

// text copies a CFString; "" for anything else.
func (c *cfSymbols) text(o Ref) string {
	if o == 0 || c.CFGetTypeID(o) != c.CFStringGetTypeID() {
		return ""
	}
	b := make([]byte, c.CFStringGetMaximumSizeForEncoding(c.CFStringGetLength(o), kCFStringEncodingUTF8)+1)
	if !c.CFStringGetCString(o, unsafe.Pointer(unsafe.SliceData(b)), int64(len(b)), kCFStringEncodingUTF8) {
		return ""
	}
	return text(unsafe.Pointer(unsafe.SliceData(b)), len(b))
}

// number is a CFNumber's value, or a CFBoolean's; false for anything else.
func (c *cfSymbols) number(o Ref) (n int64, ok bool) {
	if o == 0 {
		return 0, false
	}
	switch c.CFGetTypeID(o) {
	case c.CFNumberGetTypeID():
		ok = c.CFNumberGetValue(o, kCFNumberSInt64Type, unsafe.Pointer(&n))
		return n, ok
	case c.CFBooleanGetTypeID():
		if c.CFBooleanGetValue(o) {
			n = 1
		}
		return n, true
	}
	return 0, false
}

// data copies a CFData; nil for anything else.
func (c *cfSymbols) data(o Ref) []byte {
	if o == 0 || c.CFGetTypeID(o) != c.CFDataGetTypeID() {
		return nil
	}
	n := c.CFDataGetLength(o)
	if n == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(c.CFDataGetBytePtr(o)), n)...)
}

// items borrows a CFArray's values; none for anything else.
func (c *cfSymbols) items(o Ref) []Ref {
	if o == 0 || c.CFGetTypeID(o) != c.CFArrayGetTypeID() {
		return nil
	}
	var all []Ref
	for i := range c.CFArrayGetCount(o) {
		all = append(all, c.CFArrayGetValueAtIndex(o, i))
	}
	return all
}

// get borrows the value of a key in a CFDictionary; 0 if there is none.
func (c *cfSymbols) get(d Ref, key string) Ref {
	if d == 0 || c.CFGetTypeID(d) != c.CFDictionaryGetTypeID() {
		return 0
	}
	k := c.cfString(key)
	defer CFRelease(k)
	return c.CFDictionaryGetValue(d, k)
}
