package macos

import "github.com/ebitengine/purego/objc"

// A message is one that is sent to an object of Apple's, or that Apple sends to
// ours. No list of selectors was at hand to hold them against: a test asks the
// runtime for each on a Mac.
type message struct {
	class, selector string
	meta            bool   // to the class itself
	header          string // and the first macOS
}

var (
	msgShareableContent = message{"SCShareableContent", "getShareableContentExcludingDesktopWindows:onScreenWindowsOnly:completionHandler:", true, "SCShareableContent.h, 12.3"}
	msgDisplays         = message{"SCShareableContent", "displays", false, "SCShareableContent.h, 12.3"}
	msgDisplayID        = message{"SCDisplay", "displayID", false, "SCShareableContent.h, 12.3"}
	msgInitFilter       = message{"SCContentFilter", "initWithDisplay:excludingWindows:", false, "SCStream.h, 12.3"}
	msgSetWidth         = message{"SCStreamConfiguration", "setWidth:", false, "SCStream.h, 12.3"}
	msgSetHeight        = message{"SCStreamConfiguration", "setHeight:", false, "SCStream.h, 12.3"}
	msgSetPixelFormat   = message{"SCStreamConfiguration", "setPixelFormat:", false, "SCStream.h, 12.3"}
	msgSetShowsCursor   = message{"SCStreamConfiguration", "setShowsCursor:", false, "SCStream.h, 12.3"}
	msgSetQueueDepth    = message{"SCStreamConfiguration", "setQueueDepth:", false, "SCStream.h, 12.3"}
	msgInitStream       = message{"SCStream", "initWithFilter:configuration:delegate:", false, "SCStream.h, 12.3"}
	msgAddOutput        = message{"SCStream", "addStreamOutput:type:sampleHandlerQueue:error:", false, "SCStream.h, 12.3"}
	msgStart            = message{"SCStream", "startCaptureWithCompletionHandler:", false, "SCStream.h, 12.3"}
	msgStop             = message{"SCStream", "stopCaptureWithCompletionHandler:", false, "SCStream.h, 12.3"}
	msgAlloc            = message{"NSObject", "alloc", true, "NSObject.h, 10.0"}
	msgInit             = message{"NSObject", "init", false, "NSObject.h, 10.0"}
	msgRelease          = message{"NSObject", "release", false, "NSObject.h, 10.0"}
	msgRespondsTo       = message{"NSObject", "respondsToSelector:", false, "NSObject.h, 10.0"}
	msgDrain            = message{"NSAutoreleasePool", "drain", false, "NSAutoreleasePool.h, 10.4"}
	msgArray            = message{"NSArray", "array", true, "NSArray.h, 10.0"}
	msgGetValue         = message{"NSValue", "getValue:size:", false, "NSValue.h, 10.13"}
	msgDomain           = message{"NSError", "domain", false, "NSError.h, 10.2"}
	msgCode             = message{"NSError", "code", false, "NSError.h, 10.2"}
	msgDescription      = message{"NSError", "localizedDescription", false, "NSError.h, 10.2"}

	// Of the protocols SCStreamOutput and SCStreamDelegate, which ours answers.
	msgOutput  = message{"", "stream:didOutputSampleBuffer:ofType:", false, "SCStream.h, 12.3"}
	msgStopped = message{"", "stream:didStopWithError:", false, "SCStream.h, 12.3"}
)

// allMessages is what there is to check.
func allMessages() []message {
	return []message{
		msgShareableContent, msgDisplays, msgDisplayID, msgInitFilter, msgSetWidth, msgSetHeight, msgSetPixelFormat,
		msgSetShowsCursor, msgSetQueueDepth, msgInitStream, msgAddOutput, msgStart, msgStop, msgAlloc, msgInit,
		msgRelease, msgRespondsTo, msgDrain, msgArray, msgGetValue, msgDomain, msgCode, msgDescription,
	}
}

func (m message) sel() objc.SEL { return objc.RegisterName(m.selector) }

// send is for messages whose answer is an object or nothing; ask is for others.
func (m message) send(to objc.ID, args ...any) objc.ID { return to.Send(m.sel(), args...) }

func ask[T any](m message, to objc.ID, args ...any) T { return objc.Send[T](to, m.sel(), args...) }

// class is nil, to which messages may be sent, where there is none.
func class(name string) objc.ID { return objc.ID(objc.GetClass(name)) }

// newObject is an object that msgRelease lets go of.
func newObject(name string) objc.ID { return msgInit.send(msgAlloc.send(class(name))) }
