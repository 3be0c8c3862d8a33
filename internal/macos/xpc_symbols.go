//go:build darwin || standin

package macos

import "unsafe"

type xpcSymbols struct {
	_ struct{} `lib:"/usr/lib/libSystem.B.dylib"`

	_xpc_type_connection address
	_xpc_type_endpoint   address
	_xpc_type_null       address
	_xpc_type_bool       address
	_xpc_type_int64      address
	_xpc_type_uint64     address
	_xpc_type_double     address
	_xpc_type_date       address
	_xpc_type_data       address
	_xpc_type_string     address
	_xpc_type_uuid       address
	_xpc_type_fd         address
	_xpc_type_shmem      address
	_xpc_type_array      address
	_xpc_type_dictionary address
	_xpc_type_error      address

	_xpc_error_connection_interrupted        address
	_xpc_error_connection_invalid            address
	_xpc_error_termination_imminent          address
	_xpc_error_peer_code_signing_requirement address `c:"optional"`

	xpc_retain           func(Ref) Ref
	xpc_release          func(Ref)
	xpc_get_type         func(Ref) Ref
	xpc_copy_description func(Ref) unsafe.Pointer

	xpc_bool_create           func(bool) Ref
	xpc_bool_get_value        func(Ref) bool
	xpc_int64_create          func(int64) Ref
	xpc_int64_get_value       func(Ref) int64
	xpc_uint64_create         func(uint64) Ref
	xpc_uint64_get_value      func(Ref) uint64
	xpc_double_create         func(float64) Ref
	xpc_double_get_value      func(Ref) float64
	xpc_date_create           func(int64) Ref
	xpc_date_get_value        func(Ref) int64
	xpc_data_create           func(unsafe.Pointer, uintptr) Ref
	xpc_data_get_length       func(Ref) uintptr
	xpc_data_get_bytes        func(Ref, unsafe.Pointer, uintptr, uintptr) uintptr
	xpc_string_create         func(string) Ref
	xpc_string_get_length     func(Ref) uintptr
	xpc_string_get_string_ptr func(Ref) unsafe.Pointer
	xpc_uuid_create           func(unsafe.Pointer) Ref
	xpc_uuid_get_bytes        func(Ref) unsafe.Pointer
	xpc_fd_create             func(int32) Ref
	xpc_fd_dup                func(Ref) int32

	xpc_array_create_empty func() Ref
	xpc_array_append_value func(Ref, Ref)
	xpc_array_get_count    func(Ref) uintptr
	xpc_array_get_value    func(Ref, uintptr) Ref

	xpc_dictionary_create_empty func() Ref
	xpc_dictionary_create_reply func(Ref) Ref
	xpc_dictionary_set_value    func(Ref, string, Ref)
	xpc_dictionary_get_value    func(Ref, string) Ref
	xpc_dictionary_get_count    func(Ref) uintptr
	xpc_dictionary_apply        func(Ref, Ref) bool

	xpc_endpoint_create                              func(Ref) Ref
	xpc_connection_create                            func(unsafe.Pointer, Ref) Ref
	xpc_connection_create_mach_service               func(string, Ref, uint64) Ref
	xpc_connection_create_from_endpoint              func(Ref) Ref
	xpc_connection_set_peer_code_signing_requirement func(Ref, string) int32 `c:"optional"`
	xpc_connection_set_event_handler                 func(Ref, Ref)
	xpc_connection_set_target_queue                  func(Ref, Ref)
	xpc_connection_activate                          func(Ref)
	xpc_connection_suspend                           func(Ref)
	xpc_connection_resume                            func(Ref)
	xpc_connection_cancel                            func(Ref)
	xpc_connection_send_message                      func(Ref, Ref)
	xpc_connection_send_message_with_reply           func(Ref, Ref, Ref, Ref)
	xpc_connection_send_barrier                      func(Ref, Ref)
	xpc_connection_get_pid                           func(Ref) int32
	xpc_connection_get_euid                          func(Ref) uint32
	xpc_connection_get_egid                          func(Ref) uint32
}
