//go:build standin && !darwin

package macos

// What tests do with the stand-in's surfaces from outside.

// A StandinLie is what a surface of the stand-in's says that is not so.
type StandinLie int32

// The lies, each the number to be told; about locks, the code to be answered,
// and about the base, anything to have none.
const (
	StandinWidth StandinLie = iota
	StandinHeight
	StandinBytesPerElement
	StandinBytesPerRow
	StandinAllocSize
	StandinElementWidth
	StandinElementHeight
	StandinPlaneCount
	StandinPixelFormat
	StandinLockCode
	StandinNoBase
)

// StandinSurfaceLie makes a surface tell a lie, to whoever looks at it.
func StandinSurfaceLie(o Ref, what StandinLie, n uint64) {
	standin().standin_surface_lie(o, int32(what), uintptr(n))
}

// StandinSurfaceGuard says whether pixels can be touched only while their
// surface is locked, and as its lock says, as they can at first. Without, a lock
// costs less; it holds for surfaces to come.
func StandinSurfaceGuard(on bool) { standin().standin_surface_guard(on) }
