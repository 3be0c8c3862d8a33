package publish

import (
	"fmt"
	"os"
	"slices"

	"portward/internal/bundle"
)

// A side is one of two releases that are compared: its seal, and who has the
// bytes that the seal lists.
type side struct {
	seal *bundle.Seal
	read func(bundle.Entry) ([]byte, error)
}

// bundleAt is the bundle in a directory, which is verified.
func bundleAt(dir string) (side, error) {
	seal, err := bundle.Verify(dir)
	return side{seal, func(e bundle.Entry) ([]byte, error) { return readFrom(dir, e) }}, err
}

func readFrom(dir string, e bundle.Entry) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return readEntry(root, e)
}

// published is a release that the store holds.
func (p *Publisher) published(on shelf, hash string) (side, error) {
	_, seal, err := on.seal(hash)
	return side{seal, func(e bundle.Entry) ([]byte, error) {
		it, ok := p.known.items[e.SHA256]
		if !ok {
			return nil, fmt.Errorf("%.12s is in no delivery", e.SHA256)
		}
		return p.store.content(it)
	}}, err
}

// files answers a side's plain files.
func (s side) files() []bundle.Entry {
	return slices.DeleteFunc(slices.Clone(s.seal.Entries), func(e bundle.Entry) bool { return e.Type != bundle.File })
}
