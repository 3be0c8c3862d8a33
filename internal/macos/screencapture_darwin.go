package macos

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego/objc"
)

var (
	screenCapture = sync.OnceValues(need[screenCaptureSymbols])
	coreGraphics  = sync.OnceValues(need[coreGraphicsSymbols])
	coreMedia     = sync.OnceValues(need[coreMediaSymbols])
	coreVideo     = sync.OnceValues(need[coreVideoSymbols])
)

// Codes of SCStreamErrorDomain, SCError.h.
const (
	SCStreamErrorUserDeclined        = -3801 // nobody allowed this program to record
	SCStreamErrorMissingEntitlements = -3803
	SCStreamErrorUserStopped         = -3817 // somebody ended it in the menu bar
)

// SCStreamErrorDomain is the domain of those.
const SCStreamErrorDomain = "com.apple.ScreenCaptureKit.SCStreamErrorDomain"

// An NSError is one, copied.
type NSError struct {
	Domain string
	Code   int
	Text   string
}

func (e *NSError) Error() string { return fmt.Sprintf("%s (%s %d)", e.Text, e.Domain, e.Code) }

// ScreenCaptureAvailable says whether this system has all of what follows, or
// answers ErrNoSymbol.
func ScreenCaptureAvailable() error {
	_, a := screenCapture()
	_, b := coreGraphics()
	_, c := coreMedia()
	_, d := coreVideo()
	_, e := cf()
	return errors.Join(a, b, c, d, e)
}

// got is for what ScreenCaptureAvailable has found.
func got[S any](s *S, err error) *S {
	if err != nil {
		panic(err)
	}
	return s
}

// CGPreflightScreenCaptureAccess is CGPreflightScreenCaptureAccess,
// CGWindow.h, macOS 10.15: whether this process may record the screen. It is
// known to say no where the answer is yes, never the other way.
func CGPreflightScreenCaptureAccess() bool {
	return got(coreGraphics()).CGPreflightScreenCaptureAccess()
}

// CGRequestScreenCaptureAccess is CGRequestScreenCaptureAccess, CGWindow.h,
// macOS 10.15: the system asks the user, once for each program, and does not
// wait for an answer.
func CGRequestScreenCaptureAccess() bool { return got(coreGraphics()).CGRequestScreenCaptureAccess() }

// CGMainDisplayID is CGMainDisplayID, CGDirectDisplay.h, macOS 10.0; 0 if there
// is none. It connects this process to the window server, without which
// ScreenCaptureKit ends a program that is no application.
func CGMainDisplayID() uint32 { return got(coreGraphics()).CGMainDisplayID() }

// CGDisplayPixels is CGDisplayModeGetPixelWidth and -Height, CGDirectDisplay.h,
// macOS 10.8, of the display's mode; 0, 0 if it is gone.
func CGDisplayPixels(display uint32) (width, height int) {
	s := got(coreGraphics())
	mode := s.CGDisplayCopyDisplayMode(display)
	if mode == 0 {
		return 0, 0
	}
	defer CFRelease(mode)
	return int(s.CGDisplayModeGetPixelWidth(mode)), int(s.CGDisplayModeGetPixelHeight(mode))
}

// An SCStream is SCStream, SCStream.h, macOS 12.3: pictures of one display in
// 'BGRA', with the mouse pointer.
type SCStream struct {
	sample  func(buffer Ref)
	stopped func(error)

	stream, output objc.ID
	queue          Ref
}

// SCShareableContent is SCShareableContent, macOS 12.3: whether display can be
// captured. What it finds, or why not, is told to done, once, on a thread of the
// library's; content is borrowed. The first call of a program that is not allowed
// to record puts it on the list in System Settings.
func SCShareableContent(display uint32, done func(content Ref, err error)) {
	b := newBlock(func(content, e Ref) bool {
		pooled(func() {
			switch {
			case e != 0:
				done(0, nsError(e))
			case scDisplay(content, display) == 0:
				done(0, fmt.Errorf("display %d cannot be captured", display))
			default:
				done(content, nil)
			}
		})
		return false
	})
	defer releaseBlock(b)
	pooled(func() { msgShareableContent.send(class("SCShareableContent"), false, false, objc.ID(b)) })
}

// scDisplay borrows the display from what can be captured.
func scDisplay(content Ref, id uint32) Ref {
	for _, d := range got(cf()).items(Ref(msgDisplays.send(objc.ID(content)))) {
		if ask[uint32](msgDisplayID, objc.ID(d)) == id {
			return d
		}
	}
	return 0
}

// NewSCStream makes a stream of pictures of width x height, with so many on the
// way. sample gets each sample buffer, and stopped what ended the stream from
// outside, both on threads of the library's; buffers are borrowed, and held with
// CFRetain. Release lets go of the stream.
func NewSCStream(content Ref, display uint32, width, height, depth int, sample func(buffer Ref), stopped func(error)) (*SCStream, error) {
	c, err := outputClass()
	if err != nil {
		return nil, err
	}
	s := &SCStream{sample: sample, stopped: stopped, queue: DispatchQueueCreate("portward.screen")}
	s.output = c.add(s)
	pooled(func() { err = s.make(scDisplay(content, display), width, height, depth) })
	if err != nil {
		s.Release()
		return nil, err
	}
	return s, nil
}

func (s *SCStream) make(display Ref, width, height, depth int) error {
	filter := msgInitFilter.send(msgAlloc.send(class("SCContentFilter")), objc.ID(display), msgArray.send(class("NSArray")))
	defer msgRelease.send(filter)
	config := newObject("SCStreamConfiguration")
	defer msgRelease.send(config)
	msgSetWidth.send(config, uint(width))
	msgSetHeight.send(config, uint(height))
	msgSetPixelFormat.send(config, uint32('B'<<24|'G'<<16|'R'<<8|'A'))
	msgSetShowsCursor.send(config, true)
	msgSetQueueDepth.send(config, depth)
	s.stream = msgInitStream.send(msgAlloc.send(class("SCStream")), filter, config, s.output)
	if s.stream == 0 {
		return errors.New("SCStream: nil")
	}
	const screen = 0 // SCStreamOutputTypeScreen
	var e Ref
	if !ask[bool](msgAddOutput, s.stream, s.output, screen, objc.ID(s.queue), unsafe.Pointer(&e)) {
		return nsError(e)
	}
	return nil
}

// Start starts the capture and tells done, on a thread of the library's, how
// that went.
func (s *SCStream) Start(done func(error)) { s.complete(msgStart, done) }

// Stop stops it. What is on the way may still come before done is told.
func (s *SCStream) Stop(done func(error)) { s.complete(msgStop, done) }

func (s *SCStream) complete(m message, done func(error)) {
	b := newBlock(func(e, _ Ref) bool {
		pooled(func() { done(nsError(e)) })
		return false
	})
	defer releaseBlock(b)
	pooled(func() { m.send(s.stream, objc.ID(b)) })
}

// Release lets go of the stream, which must be stopped if it was started.
func (s *SCStream) Release() {
	pooled(func() {
		msgRelease.send(s.stream)
		got(outputClass()).remove(s.output)
		msgRelease.send(s.output)
	})
	DispatchRelease(s.queue)
}

// nsError copies an NSError; nil for nil.
func nsError(e Ref) error {
	if e == 0 {
		return nil
	}
	c := got(cf())
	return &NSError{
		Domain: c.text(Ref(msgDomain.send(objc.ID(e)))),
		Code:   ask[int](msgCode, objc.ID(e)),
		Text:   c.text(Ref(msgDescription.send(objc.ID(e)))),
	}
}

// pooled runs f where objects that nobody owns can be put.
func pooled(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pool := newObject("NSAutoreleasePool")
	defer msgDrain.send(pool)
	f()
}

// An output class is the class of our objects that streams report to, and which
// of them belongs to which stream.
type scOutputs struct {
	class objc.Class

	mu      sync.Mutex
	streams map[objc.ID]*SCStream
}

var outputClass = sync.OnceValues(registerOutput)

// registerOutput makes two callbacks, for ever.
func registerOutput() (*scOutputs, error) {
	if err := ScreenCaptureAvailable(); err != nil {
		return nil, err
	}
	o := &scOutputs{streams: map[objc.ID]*SCStream{}}
	var protocols []*objc.Protocol
	for _, name := range []string{"SCStreamOutput", "SCStreamDelegate"} {
		if p := objc.GetProtocol(name); p != nil { // a runtime need not know those that nobody has adopted
			protocols = append(protocols, p)
		}
	}
	class, err := objc.RegisterClass("PortwardStreamOutput", objc.GetClass("NSObject"), protocols, nil, []objc.MethodDef{
		{Cmd: msgOutput.sel(), Fn: func(self objc.ID, _ objc.SEL, _ objc.ID, sample unsafe.Pointer, _ int) {
			if s := o.get(self); s != nil {
				pooled(func() { s.sample(Ref(uintptr(sample))) })
			}
		}},
		{Cmd: msgStopped.sel(), Fn: func(self objc.ID, _ objc.SEL, _ objc.ID, e objc.ID) {
			if s := o.get(self); s != nil {
				pooled(func() { s.stopped(nsError(Ref(e))) })
			}
		}},
	})
	o.class = class
	return o, err
}

func (o *scOutputs) add(s *SCStream) objc.ID {
	id := msgInit.send(msgAlloc.send(objc.ID(o.class)))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams[id] = s
	return id
}

func (o *scOutputs) get(id objc.ID) *SCStream {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.streams[id]
}

func (o *scOutputs) remove(id objc.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.streams, id)
}
