// Package deltatest is the suite that every delta algorithm passes.
package deltatest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"portward/internal/update/delta"
)

// Run tests a.
func Run(t *testing.T, a delta.Algorithm) {
	t.Run("ThereAndBack", func(t *testing.T) { thereAndBack(t, a) })
	t.Run("Pays", func(t *testing.T) { pays(t, a) })
	t.Run("Limit", func(t *testing.T) { limit(t, a) })
	t.Run("Broken", func(t *testing.T) { broken(t, a) })
	t.Run("WrongOld", func(t *testing.T) { wrongOld(t, a) })
	t.Run("TooLarge", func(t *testing.T) { tooLarge(t, a) })
	t.Run("GoneReader", func(t *testing.T) { goneReader(t, a) })
	t.Run("Name", func(t *testing.T) { name(t, a) })
}

// Noise answers n bytes that nothing compresses, the same for the same seed.
func Noise(n int, seed uint16) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) // it never fails
	return b
}

// Edited answers a copy of old with something inserted, removed and changed.
func Edited(old []byte) []byte {
	third := len(old) / 3
	b := append([]byte{}, old[:third]...)
	b = append(b, "something that was not there"...)
	b = append(b, old[third+min(17, third):]...)
	for i := 0; i < len(b); i += 1 + len(b)/7 {
		b[i] ^= 0x55
	}
	return b
}

// Rule: what was made of two contents makes the second of the first, whatever
// their sizes.
func thereAndBack(t *testing.T, a delta.Algorithm) {
	old := Noise(300_000, 1)
	for name, pair := range map[string][2][]byte{
		"edited":       {old, Edited(old)},
		"same":         {old, old},
		"unrelated":    {old, Noise(200_000, 9)},
		"from nothing": {nil, old},
		"to nothing":   {old, nil},
		"both nothing": {nil, nil},
		"one byte":     {[]byte{1}, []byte{2}},
		"zeros":        {make([]byte, 100_000), make([]byte, 400_000)},
		"grows":        {old[:1000], append(Edited(old), Edited(old)...)},
		"shrinks":      {old, old[150_000:150_007]},
	} {
		patch := diff(t, a, pair[0], pair[1])
		var got bytes.Buffer
		if err := a.Patch(pair[0], bytes.NewReader(patch), &got, int64(len(pair[1]))); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(got.Bytes(), pair[1]) {
			t.Errorf("%s: %d other bytes came out", name, got.Len())
		}
	}
}

// Rule: a small change in what does not compress costs little.
func pays(t *testing.T, a delta.Algorithm) {
	old := Noise(1_000_000, 2)
	if patch := diff(t, a, old, Edited(old)); len(patch) > len(old)/100 {
		t.Errorf("a patch of %d bytes for a few changed ones", len(patch))
	}
}

// Rule: however much a patch would make, no byte more than the limit is
// written, and that is an error that says so.
func limit(t *testing.T, a delta.Algorithm) {
	old, new := Noise(1000, 3), make([]byte, 50_000_000)
	patch := diff(t, a, old, new)
	for _, most := range []int64{0, 1, 999, 1 << 20} {
		var got counter
		err := a.Patch(old, bytes.NewReader(patch), &got, most)
		if int64(got) > most {
			t.Errorf("limit %d: %d bytes were written", most, got)
		}
		if !errors.Is(err, delta.ErrLimit) {
			t.Errorf("limit %d: %v instead of %v", most, err, delta.ErrLimit)
		}
	}
}

// Rule: a patch that is cut or changed, wherever, makes an error or some bytes,
// never a panic and never more bytes than allowed.
func broken(t *testing.T, a delta.Algorithm) {
	old := Noise(20_000, 4)
	new := Edited(old)
	patch := diff(t, a, old, new)
	for i := 0; i < len(patch); i += 1 + len(patch)/300 {
		flipped := bytes.Clone(patch)
		flipped[i] ^= 1 << (i % 8)
		harmless(t, a, old, flipped, int64(len(new)))
		if i > 0 {
			var got bytes.Buffer
			if err := a.Patch(old, bytes.NewReader(patch[:i]), &got, int64(len(new))); err == nil && got.Len() == len(new) {
				t.Errorf("%d of %d bytes of a patch made the whole content", i, len(patch))
			}
		}
	}
	harmless(t, a, old, nil, 100)
	harmless(t, a, old, Noise(1000, 5), 100)
}

// Rule: with another old content than it was made for, a patch makes an error
// or other bytes. It is the caller's hash that tells them apart.
func wrongOld(t *testing.T, a delta.Algorithm) {
	old := Noise(20_000, 6)
	patch := diff(t, a, old, Edited(old))
	for _, other := range [][]byte{nil, old[:10], Noise(20_000, 7), append(bytes.Clone(old), 1)} {
		harmless(t, a, other, patch, int64(len(old))+100)
	}
}

// Rule: what cannot be held in memory is refused before it is.
func tooLarge(t *testing.T, a delta.Algorithm) {
	err := a.Patch(nil, bytes.NewReader(nil), new(counter), delta.MaxSize+1)
	if !errors.Is(err, delta.ErrTooLarge) {
		t.Errorf("%v instead of %v", err, delta.ErrTooLarge)
	}
}

// Rule: an error of the writer ends it and is answered.
func goneReader(t *testing.T, a delta.Algorithm) {
	old := Noise(400_000, 8)
	gone := errors.New("gone")
	if err := a.Patch(old, bytes.NewReader(diff(t, a, old, old)), failing{gone}, int64(len(old))); !errors.Is(err, gone) {
		t.Errorf("%v instead of %v", err, gone)
	}
}

// Rule: an algorithm is found by its name.
func name(t *testing.T, a delta.Algorithm) {
	if found, ok := delta.ByName(a.Name()); !ok || found.Name() != a.Name() {
		t.Errorf("%q is not found", a.Name())
	}
}

func diff(t *testing.T, a delta.Algorithm, old, new []byte) []byte {
	t.Helper()
	patch, err := a.Diff(old, new)
	if err != nil {
		t.Fatal(err)
	}
	return patch
}

func harmless(t *testing.T, a delta.Algorithm, old, patch []byte, most int64) {
	t.Helper()
	var got counter
	if err := a.Patch(old, bytes.NewReader(patch), &got, most); err == nil && int64(got) > most {
		t.Errorf("%d bytes where %d are allowed", got, most)
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
