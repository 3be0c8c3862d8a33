//go:build darwin || standin

package surface

import (
	"fmt"

	"portward/internal/macos"
	"portward/internal/wire"
)

// IOSurfaceGeometry answers the geometry of a surface that another library made,
// or why no consumer would take it.
func IOSurfaceGeometry(ref macos.Ref) (Geometry, error) {
	l := macos.IOSurfaceGetLayout(ref)
	if l.Width > wire.MaxSide || l.Height > wire.MaxSide || l.BytesPerRow > wire.MaxStride {
		return Geometry{}, fmt.Errorf("a surface of %+v", l)
	}
	g := Geometry{Width: int(l.Width), Height: int(l.Height), Stride: int(l.BytesPerRow), Format: FormatBGRX}
	if err := g.Check(); err != nil {
		return Geometry{}, err
	}
	return g, checkIOSurface(ref, g)
}

// LendIOSurface lends one picture in such a surface. It borrows ref, until
// release is called; the surface itself lives on as long as a relay knows it.
func LendIOSurface(ref macos.Ref, release func()) Lent { return lentIOSurface{ref, release} }

type lentIOSurface struct {
	ref     macos.Ref
	release func()
}

func (l lentIOSurface) ID() uint64 { return uint64(macos.IOSurfaceGetID(l.ref)) }

func (l lentIOSurface) Handle() wire.Handle {
	s := &ioSurface{ref: macos.CFRetain(l.ref)}
	return wire.Handle{Kind: wire.HandleSurface, Object: kept{lent{s}}}
}

func (l lentIOSurface) Release() { l.release() }

// What is kept is lent, by its only owner.
type kept struct{ lent }

// Close lets go of the surface.
func (k kept) Close() error {
	k.s.close()
	return nil
}
