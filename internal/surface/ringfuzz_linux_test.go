package surface

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzRing: a page as a hostile peer may write it, at any moment of a ring's life.
// Whatever it says, a receiver gets no more entries than there can be, a sender
// is never made to write over the page's end, and all errors are ErrHostile.
func FuzzRing(f *testing.F) {
	r, _, err := rings{}.create()
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		r.sendFrame(descriptor{slot: i, seq: uint32(i + 1), dirty: RegionOf(square.Bounds())})
	}
	f.Add(append([]byte(nil), r.(*ring).page...), uint32(0))
	f.Add(make([]byte, ringSize), uint32(7))
	r.close()
	f.Fuzz(func(t *testing.T, b []byte, at uint32) {
		page, err := unix.Mmap(-1, 0, ringSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(page)
		copy(page, b)
		for i := range 2 {
			in, out := newLane(page, i), newLane(page, 1-i)
			in.at, out.at = at, at
			fuzzIn(t, &in)
			fuzzOut(t, &out)
		}
	})
}

func fuzzIn(t *testing.T, in *lane) {
	for n := 0; ; n++ {
		b, ok, err := in.take()
		if err != nil && !errors.Is(err, ErrHostile) {
			t.Fatal(err)
		}
		if !ok {
			return
		}
		if n == laneEntries {
			t.Fatal("more entries than there are")
		}
		if _, err := decode(b[:]); err != nil && !errors.Is(err, ErrHostile) {
			t.Fatal(err)
		}
		if _, err := decodeRelease(b[:]); err != nil && !errors.Is(err, ErrHostile) {
			t.Fatal(err)
		}
	}
}

func fuzzOut(t *testing.T, out *lane) {
	for n := 0; ; n++ {
		if err := out.put(descriptor{seq: 1, dirty: RegionOf(square.Bounds())}); err != nil {
			if !errors.Is(err, ErrHostile) {
				t.Fatal(err)
			}
			return
		}
		if n == laneEntries {
			t.Fatal("a peer that reads nothing was sent too much")
		}
	}
}
