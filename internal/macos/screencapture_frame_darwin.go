package macos

import (
	"unsafe"

	"github.com/ebitengine/purego/objc"
)

// An SCFrameStatus is SCFrameStatus, SCStream.h, macOS 12.3.
type SCFrameStatus int

// The ones that come with a picture; idle, blank, suspended and stopped do not.
const (
	SCFrameComplete SCFrameStatus = 0
	SCFrameStarted  SCFrameStatus = 4
)

// A CGRect is CGRect, CGGeometry.h.
type CGRect struct{ X, Y, W, H float64 }

// An SCFrame is what a sample buffer of an SCStream has, all of it borrowed from
// that.
type SCFrame struct {
	Surface Ref      // 0 if it has no picture
	Dirty   []CGRect // pixels that changed since the one before
	Known   bool     // whether Dirty is known
}

// SCFrameOf is CMSampleBufferGetImageBuffer, CMSampleBuffer.h, macOS 10.7,
// CVPixelBufferGetIOSurface, CVPixelBufferIOSurface.h, macOS 10.6, and the
// attachments that SCStream.h, macOS 12.3, names.
func SCFrameOf(buffer Ref) SCFrame {
	c, sck, media := got(cf()), got(screenCapture()), got(coreMedia())
	all := c.items(media.CMSampleBufferGetSampleAttachmentsArray(buffer, false))
	if len(all) == 0 {
		return SCFrame{}
	}
	status, ok := c.number(c.CFDictionaryGetValue(all[0], Ref(sck.SCStreamFrameInfoStatus)))
	if s := SCFrameStatus(status); !ok || s != SCFrameComplete && s != SCFrameStarted {
		return SCFrame{}
	}
	image := media.CMSampleBufferGetImageBuffer(buffer)
	if image == 0 {
		return SCFrame{}
	}
	f := SCFrame{Surface: got(coreVideo()).CVPixelBufferGetIOSurface(image), Known: true}
	dirty := c.CFDictionaryGetValue(all[0], Ref(sck.SCStreamFrameInfoDirtyRects))
	if dirty == 0 {
		f.Known = false
	}
	for _, d := range c.items(dirty) {
		r, ok := cgRect(d)
		f.Dirty, f.Known = append(f.Dirty, r), f.Known && ok
	}
	return f
}

// cgRect reads a rectangle, which is an NSValue by the header and a dictionary
// by report.
func cgRect(o Ref) (r CGRect, ok bool) {
	c := got(cf())
	if c.CFGetTypeID(o) == c.CFDictionaryGetTypeID() {
		ok = got(coreGraphics()).CGRectMakeWithDictionaryRepresentation(o, unsafe.Pointer(&r))
		return r, ok
	}
	if !ask[bool](msgRespondsTo, objc.ID(o), msgGetValue.sel()) {
		return r, false
	}
	msgGetValue.send(objc.ID(o), unsafe.Pointer(&r), uint(unsafe.Sizeof(r)))
	return r, true
}
