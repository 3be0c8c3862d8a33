//go:build darwin || standin

package macos

import (
	"errors"
	"math"
	"sync"
	"unsafe"
)

// XPCRetain is xpc_retain, xpc/xpc.h, macOS 10.7.
func XPCRetain(o Ref) Ref { return xpc().xpc_retain(o) }

// XPCRelease is xpc_release, xpc/xpc.h, macOS 10.7. 0 is let pass.
func XPCRelease(o Ref) {
	if o != 0 {
		xpc().xpc_release(o)
	}
}

// XPCTypeOf is xpc_get_type, xpc/xpc.h, macOS 10.7.
func XPCTypeOf(o Ref) XPCType { return xpcTypes()[address(xpc().xpc_get_type(o))] }

var xpcTypes = sync.OnceValue(func() map[address]XPCType {
	s := xpc()
	m := map[address]XPCType{
		s._xpc_type_connection: XPCTypeConnection, s._xpc_type_endpoint: XPCTypeEndpoint,
		s._xpc_type_null: XPCTypeNull, s._xpc_type_bool: XPCTypeBool,
		s._xpc_type_int64: XPCTypeInt64, s._xpc_type_uint64: XPCTypeUint64,
		s._xpc_type_double: XPCTypeDouble, s._xpc_type_date: XPCTypeDate,
		s._xpc_type_data: XPCTypeData, s._xpc_type_string: XPCTypeString,
		s._xpc_type_uuid: XPCTypeUUID, s._xpc_type_fd: XPCTypeFD,
		s._xpc_type_shmem: XPCTypeShmem, s._xpc_type_array: XPCTypeArray,
		s._xpc_type_dictionary: XPCTypeDictionary, s._xpc_type_error: XPCTypeError,
	}
	delete(m, 0) // what the system lacks
	return m
})

// XPCErrorOf says which of libxpc's errors o is: they are singletons, compared
// by address.
func XPCErrorOf(o Ref) XPCError {
	s := xpc()
	switch address(o) {
	case 0:
		return XPCNotError
	case s._xpc_error_connection_interrupted:
		return XPCInterrupted
	case s._xpc_error_connection_invalid:
		return XPCInvalid
	case s._xpc_error_termination_imminent:
		return XPCTerminationImminent
	case s._xpc_error_peer_code_signing_requirement:
		return XPCPeerRequirement
	}
	if XPCTypeOf(o) == XPCTypeError {
		return XPCOtherError
	}
	return XPCNotError
}

// XPCDescription is xpc_copy_description, xpc/xpc.h, macOS 10.7: for people.
func XPCDescription(o Ref) string {
	p := xpc().xpc_copy_description(o)
	defer system().free(p)
	return text(p, math.MaxInt)
}

// The scalars, xpc/xpc.h, macOS 10.7. A getter answers 0 for an object of
// another type.

func XPCBoolCreate(v bool) Ref       { return xpc().xpc_bool_create(v) }
func XPCBoolGetValue(o Ref) bool     { return xpc().xpc_bool_get_value(o) }
func XPCInt64Create(v int64) Ref     { return xpc().xpc_int64_create(v) }
func XPCInt64GetValue(o Ref) int64   { return xpc().xpc_int64_get_value(o) }
func XPCUint64Create(v uint64) Ref   { return xpc().xpc_uint64_create(v) }
func XPCUint64GetValue(o Ref) uint64 { return xpc().xpc_uint64_get_value(o) }
func XPCDoubleCreate(v float64) Ref  { return xpc().xpc_double_create(v) }
func XPCDoubleGetValue(o Ref) float64 {
	return xpc().xpc_double_get_value(o)
}

// XPCDateCreate is xpc_date_create: nanoseconds since 1970.
func XPCDateCreate(ns int64) Ref  { return xpc().xpc_date_create(ns) }
func XPCDateGetValue(o Ref) int64 { return xpc().xpc_date_get_value(o) }

// XPCStringCreate is xpc_string_create, which copies up to the first NUL.
func XPCStringCreate(v string) Ref { return xpc().xpc_string_create(v) }

// XPCStringGetLength is xpc_string_get_length, in bytes: what XPCStringGetValue
// would copy.
func XPCStringGetLength(o Ref) int { return int(xpc().xpc_string_get_length(o)) }

// XPCStringGetValue is xpc_string_get_string_ptr: a copy.
func XPCStringGetValue(o Ref) string {
	return text(xpc().xpc_string_get_string_ptr(o), XPCStringGetLength(o))
}

// XPCDataCreate is xpc_data_create, which copies.
func XPCDataCreate(v []byte) Ref {
	return xpc().xpc_data_create(unsafe.Pointer(unsafe.SliceData(v)), uintptr(len(v)))
}

// XPCDataGetLength is xpc_data_get_length: what XPCDataGetValue would copy.
func XPCDataGetLength(o Ref) int { return int(xpc().xpc_data_get_length(o)) }

// XPCDataGetValue is xpc_data_get_bytes: a copy.
func XPCDataGetValue(o Ref) []byte {
	b := make([]byte, XPCDataGetLength(o))
	if len(b) == 0 {
		return b
	}
	n := xpc().xpc_data_get_bytes(o, unsafe.Pointer(unsafe.SliceData(b)), 0, uintptr(len(b)))
	return b[:n]
}

func XPCUUIDCreate(v [16]byte) Ref { return xpc().xpc_uuid_create(unsafe.Pointer(&v)) }

// XPCUUIDGetValue is a copy; zero for an object of another type.
func XPCUUIDGetValue(o Ref) [16]byte {
	if p := xpc().xpc_uuid_get_bytes(o); p != nil {
		return *(*[16]byte)(p)
	}
	return [16]byte{}
}

// XPCFDCreate is xpc_fd_create, which duplicates; 0 for a bad descriptor.
func XPCFDCreate(fd int) Ref { return xpc().xpc_fd_create(int32(fd)) }

// XPCFDDup is xpc_fd_dup: a descriptor of the caller's own, without close-on-exec.
func XPCFDDup(o Ref) (int, error) {
	fd := xpc().xpc_fd_dup(o)
	if fd < 0 {
		return -1, errors.New("no descriptor in this object")
	}
	return int(fd), nil
}
