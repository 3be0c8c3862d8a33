package publish

import (
	"portward/internal/bundle"
	"portward/internal/update/delta"
)

// patches tries what publish would make of two releases: each algorithm's patch
// of each file that changed must make the new bytes.
func (l *findings) patches(algorithms []delta.Algorithm, old, next side) {
	tried := map[pair]bool{}
	for _, e := range old.files() {
		other, ok := find(next.seal, e.Path)
		if !ok || other.Type != bundle.File || other.SHA256 == e.SHA256 || other.Size < tooSmall || tried[pair{e.SHA256, other.SHA256, ""}] {
			continue
		}
		tried[pair{e.SHA256, other.SHA256, ""}] = true
		was, err := old.read(e)
		if err != nil {
			l.warn("%s: no patch from it is tried: %v", e.Path, err)
			continue
		}
		is, err := next.read(other)
		if err != nil {
			l.refuse("%s: %v", e.Path, err)
			continue
		}
		for _, a := range algorithms {
			l.patch(a, e.Path, was, is)
		}
	}
}

func (l *findings) patch(a delta.Algorithm, name string, old, next []byte) {
	patch, err := a.Diff(old, next)
	if err != nil {
		l.warn("%s: there is no %s patch: %v", name, a.Name(), err)
		return
	}
	if err := roundTrips(a, old, patch, next); err != nil {
		l.refuse("%s: the %s patch does not round-trip: %v", name, a.Name(), err)
	}
}
