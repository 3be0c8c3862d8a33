package publish

import (
	"fmt"
	"path/filepath"

	"portward/internal/bundle"
	"portward/internal/update/fetch"
)

// Bounds of what is read back from a repository.
const (
	maxSeal     = 1 << 20
	maxDelivery = 16 << 20
)

// An index knows what earlier releases, on all channels, left in the store. It
// believes a file only as far as its name, its SHA-256, goes; contents are
// compared with theirs when they are used.
type index struct {
	items  map[string]fetch.Item // by the content's SHA-256, without deltas
	deltas map[pair]fetch.Delta
}

// A pair is what a patch leads from, and to, by which algorithm.
type pair struct{ from, to, algorithm string }

func readIndex(repo string) (index, error) {
	x := index{map[string]fetch.Item{}, map[pair]fetch.Delta{}}
	paths, err := filepath.Glob(filepath.Join(repo, "targets", "*", "*", "*.delivery.json"))
	if err != nil {
		return index{}, err
	}
	for _, path := range paths {
		d, err := readDelivery(path)
		if err != nil {
			continue // what cannot be read is made again
		}
		for _, it := range d.Files {
			for _, delta := range it.Deltas {
				x.deltas[pair{delta.From, it.SHA256, delta.Algorithm}] = delta
			}
			it.Deltas = nil
			x.items[it.SHA256] = it
		}
	}
	return x, nil
}

func readDelivery(path string) (fetch.Delivery, error) {
	data, err := readNamed(path, ".delivery.json", maxDelivery)
	if err != nil {
		return fetch.Delivery{}, err
	}
	return fetch.ParseDelivery(data)
}

// readNamed reads a file whose name begins with its SHA-256.
func readNamed(path, suffix string, max int64) ([]byte, error) {
	data, err := readBounded(path, max)
	if err != nil {
		return nil, err
	}
	if filepath.Base(path) != digest(data)+suffix {
		return nil, fmt.Errorf("%s: damaged: its name is not its SHA-256", path)
	}
	return data, nil
}

// A shelf is where the target files of one channel and platform lie, of all
// releases there ever were.
type shelf struct{ dir string }

func shelfOf(repo, channel, platform string) shelf {
	return shelf{filepath.Join(repo, "targets", channel, platform)}
}

func (s shelf) seal(hash string) ([]byte, *bundle.Seal, error) {
	data, err := readNamed(filepath.Join(s.dir, hash+".seal.json"), ".seal.json", maxSeal)
	if err != nil {
		return nil, nil, err
	}
	seal, err := bundle.ParseSeal(data)
	return data, seal, err
}

func (s shelf) delivery(hash string) (fetch.Delivery, error) {
	return readDelivery(filepath.Join(s.dir, hash+".delivery.json"))
}
