package linux

import "unsafe"

// Words views a mapping as 64-bit words, for sync/atomic. mem must come from
// mmap(2), which aligns it to a page; the words are valid until it is unmapped.
// A tail shorter than a word is left out.
func Words(mem []byte) []uint64 {
	if len(mem) < 8 {
		return nil
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/8)
}

// Words32 is Words for 32-bit words, which futexes are.
func Words32(mem []byte) []uint32 {
	if len(mem) < 4 {
		return nil
	}
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/4)
}
