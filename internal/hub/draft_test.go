package hub

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"portward/internal/surface"

	"github.com/klauspost/compress/s2"
)

// widest is the largest geometry in one direction that Check lets through.
func widest(t testing.TB) surface.Geometry {
	t.Helper()
	g := surface.Geometry{Height: 1, Format: surface.FormatBGRX}
	for w := 1; ; w *= 2 {
		g.Width, g.Stride = w, w*surface.BytesPerPixel
		if g.Check() != nil {
			g.Width, g.Stride = w/2, w/2*surface.BytesPerPixel
			return g
		}
	}
}

// Rule: the longest row there can be fits into a band, so a band is never longer
// than it may be.
func TestRowsFitIntoBand(t *testing.T) {
	if g := widest(t); g.Stride > bandBytes {
		t.Errorf("a row of %v is longer than a band", g)
	}
}

// Rule: no turn takes more than a band, each takes as much as fits, all of them
// take every row once, in order; and the buffers stay as large as a band.
func TestBandsAreBounded(t *testing.T) {
	g := surface.Geometry{Width: 1100, Height: 2000, Stride: 4444, Format: surface.FormatBGRX}
	f := surface.Frame{Seq: 1, Geometry: g, Pix: make([]byte, g.Size())}
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(f.Pix) // nothing of it compresses
	f.Dirty = surface.RegionOf(surface.Rect{W: 700, H: 900}, surface.Rect{X: 800, Y: 1000, W: 300, H: 1000}, surface.Rect{X: 3, Y: 1900, W: 5, H: 7})
	d, _, err := newDraft("1", 513, f)
	if err != nil {
		t.Fatal(err)
	}
	var e encoder
	sizes, total := []int{}, packedSize(d.rest)
	for more := true; more; {
		more = d.encodeBand(&e)
		sizes = append(sizes, len(e.packed))
		if total -= len(e.packed); more && len(e.packed) <= bandBytes-700*surface.BytesPerPixel {
			t.Errorf("a band has only %d bytes", len(e.packed))
		}
		if cap(e.packed) > bandBytes || cap(e.squeezed) > s2.MaxEncodedLen(bandBytes) {
			t.Errorf("buffers of %d and %d bytes", cap(e.packed), cap(e.squeezed))
		}
	}
	if total != 0 || len(sizes) != 2 || len(d.update.Message) != 2 {
		t.Errorf("bands of %v bytes, %d are missing, %d pieces", sizes, total, len(d.update.Message))
	}
	checkMessage(t, slices.Concat(d.update.Message...), f)
}

// Rule: what fits into one band is one piece, byte for byte what it would be
// without bands.
func TestOneBandIsOnePiece(t *testing.T) {
	f := randomFrame(rand.New(rand.NewPCG(1, 0)))
	var e encoder
	u, _, err := encodeAlone(&e, 513, f, bandBytes)
	if err != nil || len(u.Message) != 1 {
		t.Fatalf("%d pieces: %v", len(u.Message), err)
	}
	rects := changes(f).Rects()
	want := append(header(513, f.Seq, rects, f.Geometry), s2.EncodeSnappy(nil, e.packed)...)
	if !bytes.Equal(u.Message[0], want) {
		t.Errorf("% x, want % x", u.Message[0], want)
	}
}

// Rule: however a picture falls into bands, its message is whole: one block that
// a decoder of Snappy takes, and that another, which does only what the format
// says, takes too.
func FuzzBands(f *testing.F) {
	f.Add([]byte("abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"), uint8(5), uint8(9), uint16(40))
	f.Add(bytes.Repeat([]byte{0}, 400), uint8(200), uint8(200), uint16(1))
	f.Add([]byte{1, 2, 3, 4, 5}, uint8(1), uint8(255), uint16(4))
	f.Add([]byte{}, uint8(64), uint8(33), uint16(5000))
	f.Fuzz(func(t *testing.T, content []byte, width, height uint8, band uint16) {
		g := surface.Geometry{Width: int(width) + 1, Height: int(height) + 1, Format: surface.FormatBGRX}
		g.Stride = (g.Width + int(band%3)) * surface.BytesPerPixel
		fr := surface.Frame{Seq: 1, Geometry: g, Pix: make([]byte, g.Size())}
		for i := range fr.Pix {
			if len(content) > 0 {
				fr.Pix[i] = content[(i+i/len(content)/3)%len(content)]
			}
		}
		fr.Dirty = surface.RegionOf(g.Bounds())
		if len(content) > 4 {
			fr.Dirty = surface.RegionOf(
				surface.Rect{X: int(content[0]) % g.Width, Y: int(content[1]) % g.Height, W: int(content[2])%g.Width + 1, H: int(content[3])%g.Height + 1}.Clip(g.Bounds()),
				surface.Rect{W: int(content[4])%g.Width + 1, H: 1})
		}
		var e encoder
		u, changed, err := encodeAlone(&e, 513, fr, int(band))
		if err != nil || !changed {
			t.Fatal(changed, err)
		}
		m := slices.Concat(u.Message...)
		rects := checkMessage(t, m, fr)
		block := m[UpdateHeader+RectSize*len(rects):]
		want, _ := s2.Decode(nil, block)
		if got := unsnap(t, block); !bytes.Equal(got, want) {
			t.Error("the two decoders differ")
		}
	})
}

// unsnap decodes a Snappy block element by element, in the words of the format.
func unsnap(t *testing.T, block []byte) (out []byte) {
	t.Helper()
	total, n := binary.Uvarint(block)
	if n <= 0 {
		t.Fatal("no length")
	}
	for in := block[n:]; len(in) > 0; {
		tag := int(in[0])
		in = in[1:]
		number := func(bytes int) (v int) {
			for i := range bytes {
				v |= int(in[i]) << (8 * i)
			}
			in = in[bytes:]
			return v
		}
		length, back := tag>>2+1, 0
		switch tag & 3 {
		case 0:
			if length > 60 {
				length = number(length-60) + 1
			}
			out, in = append(out, in[:length]...), in[length:]
			continue
		case 1:
			length, back = tag>>2&7+4, tag>>5<<8|number(1)
		case 2:
			back = number(2)
		case 3:
			back = number(4)
		}
		if back < 1 || back > len(out) {
			t.Fatalf("a copy from %d back at %d", back, len(out))
		}
		for range length {
			out = append(out, out[len(out)-back])
		}
	}
	if uint64(len(out)) != total {
		t.Fatalf("%d bytes, told %d", len(out), total)
	}
	return out
}
