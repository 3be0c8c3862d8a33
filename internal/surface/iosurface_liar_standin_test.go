//go:build standin && !darwin

package surface

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/macos"
	"portward/internal/macos/macostest"
	"portward/internal/wire"
)

// The tests of this file play a peer that lies over IOSurfaces and a stream.

// An xpcHandle is a received handle.
type xpcHandle struct{ ref macos.Ref }

func (h *xpcHandle) Retain() macos.Ref {
	if h.ref == 0 {
		return 0
	}
	return macos.XPCRetain(h.ref)
}

func (h *xpcHandle) Close() error {
	if h.ref == 0 {
		return os.ErrClosed
	}
	macos.XPCRelease(h.ref)
	h.ref = 0
	return nil
}

// A surfaceOffer is what a producer of IOSurfaces sends, and its chain, for lies
// about what is in it.
type surfaceOffer struct {
	offer
	chain *Chain
}

func ioSurfaceOffer(t *testing.T) *surfaceOffer {
	t.Helper()
	noLeaks(t)
	macostest.CheckLive(t)
	c, err := IOSurfaces().NewChain(square)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	o := &surfaceOffer{offer{geometry: square, frames: wire.FD(connect(t, c))}, c}
	for _, h := range c.Surfaces() {
		o.surfaces = append(o.surfaces, xpcSurface(h.Object.(lent).Retain()))
	}
	return o
}

func xpcSurface(ref macos.Ref) wire.Handle {
	return wire.Handle{Kind: wire.HandleSurface, Object: &xpcHandle{ref}}
}

// put replaces a handle.
func (o *surfaceOffer) put(i int, h wire.Handle) {
	o.surfaces[i].Close()
	o.surfaces[i] = h
}

func (o *surfaceOffer) ref(i int) macos.Ref { return o.chain.buffers[i].mem.(*ioSurface).ref }

func (o *surfaceOffer) open(a *Account) (*Sink, error) {
	return IOSurfaces().Open(o.geometry, o.surfaces, o.frames, a)
}

func (o *surfaceOffer) mustOpen(t *testing.T) *Sink {
	t.Helper()
	s, err := o.open(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Rule: an honest offer is taken, with as much behind its rows as a system adds.
func TestIOSurfaceOpenTakesAnHonestOffer(t *testing.T) {
	o := ioSurfaceOffer(t)
	macos.StandinSurfaceLie(o.ref(1), macos.StandinAllocSize, uint64(square.Size()+ioSurfaceSlack))
	o.mustOpen(t)
}

// Rule: a surface that is not exactly what the geometry says is refused, whatever
// it says, and so is what is no surface; nothing of it stays.
func TestIOSurfaceOpenRefusesLies(t *testing.T) {
	size := uint64(square.Size())
	says := func(what macos.StandinLie, n uint64) func(*testing.T, *surfaceOffer) {
		return func(_ *testing.T, o *surfaceOffer) { macos.StandinSurfaceLie(o.ref(1), what, n) }
	}
	for lie, do := range map[string]func(*testing.T, *surfaceOffer){
		"wider":                   says(macos.StandinWidth, 17),
		"narrower":                says(macos.StandinWidth, 15),
		"no width":                says(macos.StandinWidth, 0),
		"width without end":       says(macos.StandinWidth, 1<<64-1),
		"higher":                  says(macos.StandinHeight, 17),
		"no height":               says(macos.StandinHeight, 0),
		"height without end":      says(macos.StandinHeight, 1<<63),
		"longer rows":             says(macos.StandinBytesPerRow, 68),
		"rows of nothing":         says(macos.StandinBytesPerRow, 0),
		"rows that overflow":      says(macos.StandinBytesPerRow, 1<<60),
		"two bytes a pixel":       says(macos.StandinBytesPerElement, 2),
		"elements of two pixels":  says(macos.StandinElementWidth, 2),
		"elements of two rows":    says(macos.StandinElementHeight, 2),
		"two planes":              says(macos.StandinPlaneCount, 2),
		"one plane":               says(macos.StandinPlaneCount, 1),
		"planes without end":      says(macos.StandinPlaneCount, 1<<64-1),
		"another format":          says(macos.StandinPixelFormat, '4'<<24|'2'<<16|'0'<<8|'v'),
		"no format":               says(macos.StandinPixelFormat, 0),
		"a byte short":            says(macos.StandinAllocSize, size-1),
		"nothing allocated":       says(macos.StandinAllocSize, 0),
		"more than is counted":    says(macos.StandinAllocSize, size+ioSurfaceSlack+1),
		"allocation without end":  says(macos.StandinAllocSize, 1<<64-1),
		"geometry of nothing":     func(_ *testing.T, o *surfaceOffer) { o.geometry.Height = 0 },
		"a geometry of its own":   func(_ *testing.T, o *surfaceOffer) { o.geometry.Height = 15 },
		"no surfaces":             func(_ *testing.T, o *surfaceOffer) { closeAll(o.surfaces); o.surfaces = nil },
		"one handle twice":        func(_ *testing.T, o *surfaceOffer) { o.put(1, o.surfaces[0]) },
		"a string":                func(_ *testing.T, o *surfaceOffer) { o.put(1, xpcSurface(macos.XPCStringCreate("surface"))) },
		"null":                    func(_ *testing.T, o *surfaceOffer) { o.put(1, xpcSurface(macos.StandinNullCreate())) },
		"an unknown type":         func(_ *testing.T, o *surfaceOffer) { o.put(1, xpcSurface(macos.StandinOtherCreate())) },
		"a closed handle":         func(_ *testing.T, o *surfaceOffer) { o.surfaces[1].Close() },
		"no handle":               func(_ *testing.T, o *surfaceOffer) { o.put(1, wire.Handle{Kind: wire.HandleSurface}) },
		"a descriptor as surface": func(t *testing.T, o *surfaceOffer) { o.put(1, wire.Surface(honestMemory(t))) },
		"a surface as descriptor": func(_ *testing.T, o *surfaceOffer) { o.surfaces[1].Kind = wire.HandleFD },
		"frames over packets":     func(t *testing.T, o *surfaceOffer) { socketOf(t, &o.offer, unix.SOCK_SEQPACKET) },
		"frames over datagrams":   func(t *testing.T, o *surfaceOffer) { socketOf(t, &o.offer, unix.SOCK_DGRAM) },
		"frames from memory":      func(t *testing.T, o *surfaceOffer) { o.channel(honestMemory(t)) },
		"frames over the network": func(t *testing.T, o *surfaceOffer) { o.channel(tcp(t)) },
		"an object as channel":    func(_ *testing.T, o *surfaceOffer) { o.frames.Close(); o.frames = xpcFrames() },
		"the same surface, anew": func(_ *testing.T, o *surfaceOffer) {
			o.put(1, xpcSurface(macos.IOSurfaceCreateXPCObject(o.ref(0))))
		},
	} {
		t.Run(lie, func(t *testing.T) {
			o := ioSurfaceOffer(t)
			do(t, o)
			a := NewAccount(Limits{Chains: 1, Bytes: 1 << 20})
			if _, err := o.open(a); !errors.Is(err, ErrHostile) {
				t.Errorf("got %v", err)
			}
			if n, b := a.Used(); n != 0 || b != 0 {
				t.Errorf("account left with %d chains, %d bytes", n, b)
			}
		})
	}
}

func xpcFrames() wire.Handle {
	return wire.Handle{Kind: wire.HandleFD, Object: &xpcHandle{macos.StandinNullCreate()}}
}

func tcp(t *testing.T) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Rule: a surface that cannot be locked, or has no address, ends the channel.
func TestIOSurfaceThatCannotBeRead(t *testing.T) {
	for lie, what := range map[string]macos.StandinLie{"lock": macos.StandinLockCode, "base": macos.StandinNoBase} {
		t.Run(lie, func(t *testing.T) {
			o := ioSurfaceOffer(t)
			s := o.mustOpen(t)
			submit(t, o.chain)
			macos.StandinSurfaceLie(o.ref(0), what, 0xe00002cc)
			if _, err := s.Next(deadline(t)); !errors.Is(err, ErrHostile) {
				t.Fatalf("next: %v", err)
			}
			<-o.chain.Lost()
		})
	}
}

// Rule: a system whose surfaces cannot be locked has no chains; one that loses
// the ability gives no slots.
func TestIOSurfaceOwnFailures(t *testing.T) {
	o := ioSurfaceOffer(t)
	closeAll(append(o.surfaces, o.frames))
	for i := range Slots {
		macos.StandinSurfaceLie(o.ref(i), macos.StandinLockCode, 1)
	}
	if b, err := o.chain.Acquire(deadline(t)); err == nil {
		t.Fatalf("acquired %v", b)
	}
	for i := range Slots {
		macos.StandinSurfaceLie(o.ref(i), macos.StandinLockCode, 0)
	}
	b, err := o.chain.Acquire(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	o.chain.Return(b)
	if _, err := IOSurfaces().NewChain(Geometry{Width: 1, Height: 1, Stride: 5, Format: FormatBGRX}); err == nil {
		t.Fatal("a chain of an impossible geometry")
	}
}

// Rule: what somebody still reads is not drawn into, though its channel is gone:
// the producer waits, and goes on when it is released.
func TestIOSurfaceReadByThePredecessor(t *testing.T) {
	o := ioSurfaceOffer(t)
	s := o.mustOpen(t)
	ctx := deadline(t)
	var frames []Frame
	for range Slots {
		submit(t, o.chain)
		f, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	s.Close()
	connect(t, o.chain).Close()
	if b, ok := o.chain.TryAcquire(); ok {
		t.Fatalf("slot %d is given out while it is read", b.Slot)
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := o.chain.Acquire(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("acquire: %v", err)
	}
	got := make(chan *Buffer, 1)
	go func() {
		b, _ := o.chain.Acquire(ctx)
		got <- b
	}()
	frames[1].Release()
	b := <-got
	if b == nil || b.Slot != 1 {
		t.Fatalf("got %v", b)
	}
	o.chain.Return(b)
	frames[0].Release()
	frames[2].Release()
}

// Rule: an object that travels, or is kept, keeps its surface from being drawn
// into, and no other.
func TestIOSurfaceInAMessage(t *testing.T) {
	o := ioSurfaceOffer(t)
	if _, ok := o.chain.TryAcquire(); ok {
		t.Fatal("a slot is given out while it travels")
	}
	s := o.mustOpen(t)
	kept := macos.IOSurfaceCreateXPCObject(o.ref(0))
	defer macos.XPCRelease(kept)
	for range 2 * Slots {
		b, err := o.chain.Acquire(deadline(t))
		if err != nil || b.Slot == 0 {
			t.Fatalf("acquired %v, %v", b, err)
		}
		if err := o.chain.Submit(b, Region{}); err != nil {
			t.Fatal(err)
		}
		f, err := s.Next(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
	}
}

// Rule: descriptors come in pieces and together; half of one at the end is a lie.
func TestStreamFraming(t *testing.T) {
	o := ioSurfaceOffer(t)
	o.frames.Close()
	producer, theirs := pair(t, unix.SOCK_STREAM)
	defer producer.Close()
	o.frames = wire.FD(theirs)
	s := o.mustOpen(t)
	ctx := deadline(t)
	two := append(frame(0, 1, square.Bounds()), frame(1, 2, Rect{})...)
	for _, c := range []struct {
		piece []byte
		whole bool
	}{{two[:1], false}, {two[1:descriptorSize], true}, {two[descriptorSize : 2*descriptorSize-1], false}} {
		if err := send(t, producer, c.piece); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		_, err := s.Next(short)
		cancel()
		if c.whole != (err == nil) {
			t.Fatalf("after %d bytes: %v", len(c.piece), err)
		}
	}
	if err := send(t, producer, append(two[2*descriptorSize-1:], frame(2, 3, Rect{})[:9]...)); err != nil {
		t.Fatal(err)
	}
	if f, err := s.Next(ctx); err != nil || f.Seq != 2 {
		t.Fatal(f, err)
	}
	producer.Close()
	if _, err := s.Next(ctx); !errors.Is(err, ErrHostile) {
		t.Fatalf("half a descriptor: %v", err)
	}
	for i := range 2 {
		(Frame{Seq: uint32(i + 1), sink: s, slot: i}).Release()
	}
}

// Rule: a peer that does not read never makes the other wait, on either side.
func TestStreamEndsTheDeaf(t *testing.T) {
	o := ioSurfaceOffer(t)
	o.frames.Close()
	producer, theirs := pair(t, unix.SOCK_STREAM)
	defer producer.Close()
	o.frames = wire.FD(theirs)
	s := o.mustOpen(t)
	ctx := deadline(t)
	for i := range 1_000_000 {
		if send(t, producer, frame(i%Slots, uint32(i+1), Rect{})) != nil {
			t.Fatalf("frame %d did not go out", i)
		}
		f, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Release(); errors.Is(err, ErrHostile) {
			t.Logf("ended at frame %d", i)
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("nothing limited the unread releases")
}
