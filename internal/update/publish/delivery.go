package publish

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"portward/internal/bundle"
	"portward/internal/update/delta"
	"portward/internal/update/fetch"
)

const (
	// pays is the share of a blob's size, in percent, below which a patch is
	// worth its place: it costs the machine an old copy and more time.
	pays = 90
	// tooSmall is the size of a blob that no patch can make cheaper to ask for.
	tooSmall = 2 << 10
)

// A delivering is the making of one release's delivery.
type delivering struct {
	store *store
	known index
	tell  func(string)
	sum   *Summary
}

// deliver puts a bundle's contents into the store and answers how they are
// delivered; earlier are the seals from which patches may lead, newest first.
func (d *delivering) deliver(dir string, seal *bundle.Seal, earlier []*bundle.Seal) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	items := map[string]fetch.Item{}
	for _, e := range seal.Entries {
		if e.Type != bundle.File {
			continue
		}
		if _, done := items[e.SHA256]; done {
			continue
		}
		if items[e.SHA256], err = d.item(root, e, earlier); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return encode(items)
}

func (d *delivering) item(root *os.Root, e bundle.Entry, earlier []*bundle.Seal) (fetch.Item, error) {
	data, err := readEntry(root, e)
	if err != nil {
		return fetch.Item{}, err
	}
	it, err := d.blob(data, e)
	if err != nil {
		return fetch.Item{}, err
	}
	d.sum.Files++
	for _, from := range olderContents(e, earlier) {
		delta, err := d.delta(from, it, data, e.Path)
		if err != nil {
			return fetch.Item{}, err
		}
		if delta.Size > 0 {
			it.Deltas = append(it.Deltas, delta)
		}
	}
	slices.SortFunc(it.Deltas, func(a, b fetch.Delta) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Algorithm, b.Algorithm))
	})
	return it, nil
}

// readEntry answers the bytes that the seal lists.
func readEntry(root *os.Root, e bundle.Entry) ([]byte, error) {
	if e.Size > maxContent {
		return nil, fmt.Errorf("%d bytes, at most %d are handled", e.Size, maxContent)
	}
	f, err := root.Open(e.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, e.Size+1))
	if err == nil && digest(data) != e.SHA256 {
		err = errors.New("changed while it was published")
	}
	return data, err
}

// blob stores a content, or finds it stored.
func (d *delivering) blob(data []byte, e bundle.Entry) (fetch.Item, error) {
	if it, ok := d.known.items[e.SHA256]; ok {
		if _, err := d.store.content(it); err == nil && checkPieces(d.store, it.Blob) == nil {
			return it, nil
		}
	}
	stored, codec, err := d.store.pack(data)
	if err != nil {
		return fetch.Item{}, err
	}
	sha, fresh, err := d.store.put(stored)
	if err != nil {
		return fetch.Item{}, err
	}
	if fresh {
		d.sum.Blobs++
		d.sum.BlobBytes += int64(len(stored))
		d.tell(fmt.Sprintf("stored %s: %d bytes as %d", e.Path, len(data), len(stored)))
	}
	return fetch.Item{SHA256: e.SHA256, Size: e.Size, Blob: fetch.Blob{
		SHA256: sha, Size: int64(len(stored)), Codec: codec, Pieces: fetch.Pieces(stored),
	}}, nil
}

// olderContents answers what lay at an entry's path in earlier releases.
func olderContents(e bundle.Entry, earlier []*bundle.Seal) []string {
	var list []string
	for _, seal := range earlier {
		for _, old := range seal.Entries {
			if old.Path == e.Path && old.Type == bundle.File && old.SHA256 != e.SHA256 && !slices.Contains(list, old.SHA256) {
				list = append(list, old.SHA256)
			}
		}
	}
	return list
}

// delta answers the smallest patch that pays, or none: a patch is a favour, the
// blob is always there.
func (d *delivering) delta(from string, to fetch.Item, data []byte, path string) (fetch.Delta, error) {
	bound := to.Blob.Size * pays / 100
	source, ok := d.known.items[from]
	if !ok || to.Blob.Size < tooSmall {
		return fetch.Delta{}, nil
	}
	old, err := d.store.content(source)
	if err != nil {
		d.tell(fmt.Sprintf("no patch of %s from %.12s: %v", path, from, err))
		return fetch.Delta{}, nil
	}
	var best []byte
	name := ""
	for _, a := range delta.All() {
		patch, err := d.patch(a, pair{from, to.SHA256, a.Name()}, old, data)
		switch {
		case err != nil:
			d.tell(fmt.Sprintf("no %s patch of %s from %.12s: %v", a.Name(), path, from, err))
		case int64(len(patch)) < bound:
			best, name, bound = patch, a.Name(), int64(len(patch))
		}
	}
	if name == "" {
		return fetch.Delta{}, nil
	}
	sha, fresh, err := d.store.put(best)
	if err != nil {
		return fetch.Delta{}, err
	}
	if fresh {
		d.sum.Deltas++
		d.sum.DeltaBytes += bound
		d.tell(fmt.Sprintf("patch of %s from %.12s: %d bytes instead of %d", path, from, bound, to.Blob.Size))
	}
	return fetch.Delta{From: from, Algorithm: name, SHA256: sha, Size: bound}, nil
}

// patch answers a patch that proved itself, an earlier one if it is there.
func (d *delivering) patch(a delta.Algorithm, p pair, old, data []byte) ([]byte, error) {
	if known, ok := d.known.deltas[p]; ok {
		if patch, err := d.store.get(known.SHA256, known.Size); err == nil && roundTrips(a, old, patch, data) == nil {
			return patch, nil
		}
	}
	patch, err := a.Diff(old, data)
	if err != nil {
		return nil, err
	}
	return patch, roundTrips(a, old, patch, data)
}

// roundTrips applies a patch as a machine would.
func roundTrips(a delta.Algorithm, old, patch, want []byte) error {
	var got bytes.Buffer
	if err := a.Patch(old, bytes.NewReader(patch), &got, int64(len(want))); err != nil {
		return fmt.Errorf("it does not apply: %w", err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		return errors.New("it makes something else")
	}
	return nil
}

// again answers a delivery of what the store holds already, for a release that
// comes back.
func (d *delivering) again(seal *bundle.Seal) ([]byte, error) {
	items := map[string]fetch.Item{}
	for _, e := range seal.Entries {
		if e.Type != bundle.File {
			continue
		}
		it, ok := d.known.items[e.SHA256]
		if !ok {
			return nil, fmt.Errorf("%s is in no delivery", e.Path)
		}
		if _, err := d.store.content(it); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Path, err)
		}
		items[e.SHA256] = it
	}
	return encode(items)
}

// encode writes a delivery that machines will read.
func encode(items map[string]fetch.Item) ([]byte, error) {
	d := fetch.Delivery{Format: fetch.Format}
	for _, it := range items {
		d.Files = append(d.Files, it)
	}
	slices.SortFunc(d.Files, func(a, b fetch.Item) int { return cmp.Compare(a.SHA256, b.SHA256) })
	data, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	_, err = fetch.ParseDelivery(data)
	return data, err
}
