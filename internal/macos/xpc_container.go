//go:build darwin || standin

package macos

// XPCArrayCreate is xpc_array_create_empty, xpc/xpc.h, macOS 11.
func XPCArrayCreate() Ref { return xpc().xpc_array_create_empty() }

// XPCArrayAppendValue retains v.
func XPCArrayAppendValue(a, v Ref) { xpc().xpc_array_append_value(a, v) }

func XPCArrayGetCount(a Ref) int { return int(xpc().xpc_array_get_count(a)) }

// XPCArrayGetValue is borrowed. An index beyond the end ends the process.
func XPCArrayGetValue(a Ref, i int) Ref { return xpc().xpc_array_get_value(a, uintptr(i)) }

// XPCDictionaryCreate is xpc_dictionary_create_empty, xpc/xpc.h, macOS 11.
func XPCDictionaryCreate() Ref { return xpc().xpc_dictionary_create_empty() }

// XPCDictionarySetValue retains v; 0 removes the key.
func XPCDictionarySetValue(d Ref, key string, v Ref) { xpc().xpc_dictionary_set_value(d, key, v) }

// XPCDictionaryGetValue is borrowed; 0 if there is none. What is no dictionary
// must not be asked.
func XPCDictionaryGetValue(d Ref, key string) Ref { return xpc().xpc_dictionary_get_value(d, key) }

func XPCDictionaryGetCount(d Ref) int { return int(xpc().xpc_dictionary_get_count(d)) }

// XPCDictionaryApply is xpc_dictionary_apply: it calls f for every pair, the
// value borrowed, until f says false, and says whether f never did. A key that is
// longer than most bytes is cut after most+1, and nobody looks for its end.
func XPCDictionaryApply(d Ref, most int, f func(key string, v Ref) bool) bool {
	b := newBlock(func(key, v Ref) bool { return f(text(pointer(uintptr(key)), most+1), v) })
	defer releaseBlock(b)
	return xpc().xpc_dictionary_apply(d, b)
}

// XPCDictionaryCreateReply is xpc_dictionary_create_reply: 0 if the message
// expects none, or has had one made.
func XPCDictionaryCreateReply(message Ref) Ref { return xpc().xpc_dictionary_create_reply(message) }
