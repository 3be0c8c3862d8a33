//go:build darwin

package macos

import "unsafe"

// Of these four libraries no list of what they export was at hand, only headers
// and documentation: testdata says so too.

type screenCaptureSymbols struct {
	_ struct{} `lib:"/System/Library/Frameworks/ScreenCaptureKit.framework/ScreenCaptureKit"`

	SCStreamFrameInfoStatus     value
	SCStreamFrameInfoDirtyRects value
}

type coreGraphicsSymbols struct {
	_ struct{} `lib:"/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics"`

	CGPreflightScreenCaptureAccess         func() bool
	CGRequestScreenCaptureAccess           func() bool
	CGMainDisplayID                        func() uint32
	CGDisplayCopyDisplayMode               func(uint32) Ref
	CGDisplayModeGetPixelWidth             func(Ref) uintptr
	CGDisplayModeGetPixelHeight            func(Ref) uintptr
	CGRectMakeWithDictionaryRepresentation func(Ref, unsafe.Pointer) bool
}

type coreMediaSymbols struct {
	_ struct{} `lib:"/System/Library/Frameworks/CoreMedia.framework/CoreMedia"`

	CMSampleBufferGetImageBuffer            func(Ref) Ref
	CMSampleBufferGetSampleAttachmentsArray func(Ref, bool) Ref
}

type coreVideoSymbols struct {
	_ struct{} `lib:"/System/Library/Frameworks/CoreVideo.framework/CoreVideo"`

	CVPixelBufferGetIOSurface func(Ref) Ref
}
