//go:build darwin || standin

package macos

import "unsafe"

type dispatchSymbols struct {
	_ struct{} `lib:"/usr/lib/libSystem.B.dylib"`

	dispatch_queue_create func(string, Ref) Ref
	dispatch_release      func(Ref)
}

type blockSymbols struct {
	_ struct{} `lib:"/usr/lib/libSystem.B.dylib"`

	_NSConcreteStackBlock address
	_Block_copy           func(unsafe.Pointer) Ref
	_Block_release        func(Ref)
	malloc                func(uintptr) unsafe.Pointer
}

type systemSymbols struct {
	_ struct{} `lib:"/usr/lib/libSystem.B.dylib"`

	free                   func(unsafe.Pointer)
	launch_activate_socket func(string, unsafe.Pointer, unsafe.Pointer) int32
	proc_listpids          func(uint32, uint32, unsafe.Pointer, int32) int32
	proc_pidpath           func(int32, unsafe.Pointer, uint32) int32
}
