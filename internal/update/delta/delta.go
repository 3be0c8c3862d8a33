// Package delta knows how new bytes are made of old bytes and a patch, and how
// such a patch is made. It must never know where any of them come from, or
// decide whether they are right: whoever patches compares the result with a
// signed hash.
package delta

import (
	"errors"
	"io"
)

// MaxSize is the most bytes that an old or a new content may have: patching
// holds both in memory.
const MaxSize = 256 << 20

// Errors of all algorithms. Others are a broken patch.
var (
	ErrTooLarge = errors.New("too large for a delta")          // an input exceeds MaxSize
	ErrLimit    = errors.New("the patch makes too many bytes") // of Patch
)

// An Algorithm makes and applies patches. It has no state and may be used by
// several goroutines.
type Algorithm interface {
	// Name is what a delivery calls it.
	Name() string
	// Diff answers a patch that makes new of old.
	Diff(old, new []byte) ([]byte, error)
	// Patch writes what patch makes of old to to: at most limit bytes, and
	// some of them even when it answers an error. The patch may be hostile;
	// memory is bounded by old and limit. It does not keep old.
	Patch(old []byte, patch io.Reader, to io.Writer, limit int64) error
}

// All answers every algorithm, the one to prefer among equals first.
func All() []Algorithm { return []Algorithm{zstdDict{}} }

// ByName answers the algorithm of that name.
func ByName(name string) (Algorithm, bool) {
	for _, a := range All() {
		if a.Name() == name {
			return a, true
		}
	}
	return nil, false
}
