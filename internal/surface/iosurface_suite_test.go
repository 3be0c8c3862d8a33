//go:build darwin || standin

package surface_test

import (
	"errors"
	"os"
	"testing"

	"portward/internal/macos"
	"portward/internal/surface"
	"portward/internal/surface/surfacetest"
	"portward/internal/wire"
)

// The suite over IOSurfaces, with handles that stay in the process. Deaths are
// those of ends; a process's death, which takes its uses back, is the kernel's.
func TestIOSurfaceRetained(t *testing.T) {
	checkLive(t)
	surfacetest.Test(t, surfacetest.Way{Platform: surface.IOSurfaces(), Pass: retained})
}

// The suite over IOSurfaces, with handles that travel in a message.
func TestIOSurfaceSent(t *testing.T) {
	checkLive(t)
	p := newPost(t)
	surfacetest.Test(t, surfacetest.Way{Platform: surface.IOSurfaces(), Pass: p.pass})
}

func surfaceHandle(ref macos.Ref) wire.Handle {
	return wire.Handle{Kind: wire.HandleSurface, Object: macos.NewObject(ref)}
}

func retain(t testing.TB, h wire.Handle) macos.Ref {
	t.Helper()
	ref := h.Object.(macos.Retainer).Retain()
	if ref == 0 {
		t.Fatal("a surface that is lent no more")
	}
	return ref
}

func retained(t testing.TB, surfaces []wire.Handle, frames *os.File) ([]wire.Handle, wire.Handle) {
	t.Helper()
	all := make([]wire.Handle, len(surfaces))
	for i, h := range surfaces {
		all[i] = surfaceHandle(retain(t, h))
	}
	return all, wire.FD(dupFile(t, frames))
}

func dupFile(t testing.TB, f *os.File) *os.File {
	t.Helper()
	x := macos.XPCFDCreate(int(f.Fd()))
	defer macos.XPCRelease(x)
	return fileOf(t, x)
}

func fileOf(t testing.TB, x macos.Ref) *os.File {
	t.Helper()
	fd, err := macos.XPCFDDup(x)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "received")
}

// A post is a connection to send handles over, and back from it.
type post struct {
	in   chan macos.Ref
	conn macos.Ref
}

func newPost(t *testing.T) *post {
	p := &post{in: make(chan macos.Ref, 1)}
	ended := make(chan struct{}, 3)
	end := func(event macos.Ref) {
		if macos.XPCErrorOf(event) == macos.XPCInvalid {
			ended <- struct{}{}
		}
	}
	listener := macos.XPCConnectionCreate(0)
	macos.XPCConnectionSetEventHandler(listener, func(peer macos.Ref) {
		if macos.XPCTypeOf(peer) != macos.XPCTypeConnection {
			end(peer)
			return
		}
		macos.XPCConnectionSetEventHandler(peer, func(event macos.Ref) {
			if macos.XPCTypeOf(event) == macos.XPCTypeDictionary {
				p.in <- macos.XPCRetain(event)
				return
			}
			end(event)
		})
		macos.XPCConnectionActivate(peer)
	})
	macos.XPCConnectionActivate(listener)
	endpoint := macos.XPCEndpointCreate(listener)
	p.conn = macos.XPCConnectionCreateFromEndpoint(endpoint)
	macos.XPCRelease(endpoint)
	macos.XPCConnectionSetEventHandler(p.conn, end)
	macos.XPCConnectionActivate(p.conn)
	t.Cleanup(func() {
		for _, c := range []macos.Ref{p.conn, listener} {
			macos.XPCConnectionCancel(c)
		}
		for range 3 { // the peer's end is the third
			<-ended
		}
		macos.XPCRelease(p.conn)
		macos.XPCRelease(listener)
	})
	return p
}

func (p *post) pass(t testing.TB, surfaces []wire.Handle, frames *os.File) ([]wire.Handle, wire.Handle) {
	t.Helper()
	sent := message(t, surfaces, frames)
	macos.XPCConnectionSendMessage(p.conn, sent)
	macos.XPCRelease(sent)
	m := <-p.in
	defer macos.XPCRelease(m)
	array := macos.XPCDictionaryGetValue(m, "surfaces")
	all := make([]wire.Handle, macos.XPCArrayGetCount(array))
	for i := range all {
		all[i] = surfaceHandle(macos.XPCRetain(macos.XPCArrayGetValue(array, i)))
	}
	return all, wire.FD(fileOf(t, macos.XPCDictionaryGetValue(m, "frames")))
}

func message(t testing.TB, surfaces []wire.Handle, frames *os.File) macos.Ref {
	m, array, fd := macos.XPCDictionaryCreate(), macos.XPCArrayCreate(), macos.XPCFDCreate(int(frames.Fd()))
	for _, h := range surfaces {
		ref := retain(t, h)
		macos.XPCArrayAppendValue(array, ref)
		macos.XPCRelease(ref)
	}
	macos.XPCDictionarySetValue(m, "surfaces", array)
	macos.XPCDictionarySetValue(m, "frames", fd)
	macos.XPCRelease(array)
	macos.XPCRelease(fd)
	return m
}

// Rule: a chain that is closed lends nothing, and what it lent before ends.
func TestIOSurfaceLentNoMore(t *testing.T) {
	checkLive(t)
	c, err := surface.IOSurfaces().NewChain(surface.Geometry{Width: 2, Height: 2, Stride: 8, Format: surface.FormatBGRX})
	if err != nil {
		t.Fatal(err)
	}
	lent := c.Surfaces()
	if err := errors.Join(lent[0].Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	if ref := lent[0].Object.(macos.Retainer).Retain(); ref != 0 {
		t.Error("a surface of a closed chain was lent")
	}
}
