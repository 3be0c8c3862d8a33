package delta_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"

	"portward/internal/update/delta"
	"portward/internal/update/delta/deltatest"
)

func TestAlgorithms(t *testing.T) {
	for _, a := range delta.All() {
		t.Run(a.Name(), func(t *testing.T) { deltatest.Run(t, a) })
	}
}

// Rule: an unknown name is no algorithm.
func TestByName(t *testing.T) {
	for _, name := range []string{"", "zstd", "ZSTD-DICT", "bsdiff"} {
		if a, ok := delta.ByName(name); ok {
			t.Errorf("%q is %v", name, a)
		}
	}
}

// Rule: a frame that claims a window out of proportion to the file is refused
// before that much memory is taken.
func TestHostileWindow(t *testing.T) {
	var b bytes.Buffer
	enc, err := zstd.NewWriter(&b, zstd.WithWindowSize(256<<20))
	if err != nil {
		t.Fatal(err)
	}
	// What was flushed has no size in its head, so the window is as said.
	enc.Write([]byte("a"))
	enc.Flush()
	enc.Close()
	a, _ := delta.ByName("zstd-dict")
	var got bytes.Buffer
	if err := a.Patch(nil, &b, &got, 1000); !errors.Is(err, delta.ErrLimit) {
		t.Errorf("%d bytes and %v", got.Len(), err)
	}
}

// Rule: no patch makes Patch write more than allowed, or panic.
func FuzzPatch(f *testing.F) {
	old := deltatest.Noise(3000, 1)
	for _, a := range delta.All() {
		for _, new := range [][]byte{deltatest.Edited(old), old, nil, make([]byte, 9999)} {
			patch, err := a.Diff(old, new)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(old, patch, uint16(len(new)))
		}
	}
	f.Fuzz(func(t *testing.T, old, patch []byte, limit uint16) {
		for _, a := range delta.All() {
			var got bytes.Buffer
			_ = a.Patch(old, bytes.NewReader(patch), &got, int64(limit))
			if got.Len() > int(limit) {
				t.Fatalf("%s: %d bytes where %d are allowed", a.Name(), got.Len(), limit)
			}
		}
	})
}
