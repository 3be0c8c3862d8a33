//go:build darwin || standin

package macos

import "unsafe"

type cfSymbols struct {
	_ struct{} `lib:"/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation"`

	CFRetain    func(Ref) Ref
	CFRelease   func(Ref)
	CFGetTypeID func(Ref) uint64

	CFStringGetTypeID                 func() uint64
	CFStringCreateWithBytes           func(Ref, unsafe.Pointer, int64, uint32, bool) Ref
	CFStringGetLength                 func(Ref) int64
	CFStringGetMaximumSizeForEncoding func(int64, uint32) int64
	CFStringGetCString                func(Ref, unsafe.Pointer, int64, uint32) bool

	CFNumberGetTypeID  func() uint64
	CFNumberCreate     func(Ref, int64, unsafe.Pointer) Ref
	CFNumberGetValue   func(Ref, int64, unsafe.Pointer) bool
	CFBooleanGetTypeID func() uint64
	CFBooleanGetValue  func(Ref) bool

	CFDataGetTypeID  func() uint64
	CFDataGetLength  func(Ref) int64
	CFDataGetBytePtr func(Ref) unsafe.Pointer

	CFArrayGetTypeID       func() uint64
	CFArrayGetCount        func(Ref) int64
	CFArrayGetValueAtIndex func(Ref, int64) Ref

	kCFTypeDictionaryKeyCallBacks   address
	kCFTypeDictionaryValueCallBacks address

	CFDictionaryGetTypeID func() uint64
	CFDictionaryCreate    func(Ref, unsafe.Pointer, unsafe.Pointer, int64, unsafe.Pointer, unsafe.Pointer) Ref
	CFDictionaryGetValue  func(Ref, Ref) Ref

	CFURLCreateFromFileSystemRepresentation func(Ref, unsafe.Pointer, int64, bool) Ref
	CFErrorCopyDescription                  func(Ref) Ref
}
