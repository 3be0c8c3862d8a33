package capture

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/quick"

	"portward/internal/surface"
)

func card(t testing.TB, o Options) *testcard {
	t.Helper()
	s, err := OpenTestcard(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*testcard)
}

// render answers the whole picture of a number, drawn from nothing.
func render(c *testcard, number uint32) []byte {
	fresh := &testcard{geometry: c.geometry, colour: c.colour, number: number}
	pix := make([]byte, c.geometry.Size())
	fresh.draw(pix, 0, c.geometry.Height)
	return pix
}

// Rule: every number can be read back, at every width and stride.
func TestFrameNumberRoundTrip(t *testing.T) {
	plain := card(t, Options{})
	odd := card(t, Options{Width: CodeWidth + 3, Height: 100})
	odd.geometry.Stride += 20
	for _, c := range []*testcard{plain, odd} {
		holds := func(n uint32) bool {
			got, err := ReadFrameNumber(render(c, n), c.geometry)
			return err == nil && got == n
		}
		if err := quick.Check(holds, nil); err != nil {
			t.Errorf("%v: %v", c.geometry, err)
		}
		for _, n := range []uint32{0, 1, math.MaxInt32, math.MaxUint32} {
			if !holds(n) {
				t.Errorf("%v: %d is not read back", c.geometry, n)
			}
		}
	}
}

// Rule: the documented geometry is what is drawn; a browser reads it so.
func TestFrameCodeAsDocumented(t *testing.T) {
	c := card(t, Options{})
	const n = 0xA5000001
	pix := render(c, n)
	cell := func(i int) uint32 { return uint32(pix[8*c.geometry.Stride+4*(16*i+8)]) >> 7 }
	var got, odd uint32
	for i := range 32 {
		got = got*2 + cell(i)
		odd ^= cell(i)
	}
	if got != n || cell(32) != 1-odd || cell(33) != odd {
		t.Errorf("read %#x, parity %d, check %d", got, cell(32), cell(33))
	}
}

// Rule: what is no code is an error, never a number.
func TestFrameNumberRefused(t *testing.T) {
	c := card(t, Options{})
	g := c.geometry
	good := render(c, 12345)
	flipped := func(i int) []byte {
		pix := bytes.Clone(good)
		at := 8*g.Stride + 4*(16*i+8)
		for k := range 3 {
			pix[at+k] ^= 0xff
		}
		return pix
	}
	narrow, low := g, g
	narrow.Width, low.Height = CodeWidth-1, CodeCell-1
	type bad struct {
		name string
		pix  []byte
		g    surface.Geometry
	}
	cases := []bad{
		{"nothing", nil, g},
		{"short", good[:g.Stride*CodeCell-1], g},
		{"narrow", good, narrow},
		{"low", good, low},
		{"stride of one", good, surface.Geometry{Width: g.Width, Height: g.Height, Stride: 1}},
		{"black", make([]byte, g.Size()), g},
		{"white", bytes.Repeat([]byte{0xff}, g.Size()), g},
		{"grey", bytes.Repeat([]byte{0x80}, g.Size()), g},
		{"colour", bytes.Repeat([]byte{0xff, 0, 0, 0xff}, g.Size()/4), g},
	}
	for i := range CodeCells {
		cases = append(cases, bad{fmt.Sprintf("cell %d flipped", i), flipped(i), g})
	}
	for _, b := range cases {
		if n, err := ReadFrameNumber(b.pix, b.g); !errors.Is(err, ErrNoFrameNumber) {
			t.Errorf("%s: %d, %v", b.name, n, err)
		}
	}
}

func FuzzReadFrameNumber(f *testing.F) {
	c := card(f, Options{Width: CodeWidth, Height: 2 * HeadHeight})
	f.Add(render(c, 7)[:CodeCell*c.geometry.Stride], CodeWidth, CodeCell, c.geometry.Stride)
	f.Add([]byte{}, 0, 0, 0)
	f.Add(make([]byte, 100), math.MaxInt, math.MaxInt, math.MaxInt)
	f.Fuzz(func(t *testing.T, pix []byte, w, h, stride int) {
		n, err := ReadFrameNumber(pix, surface.Geometry{Width: w, Height: h, Stride: stride})
		if err != nil && n != 0 {
			t.Errorf("%d with %v", n, err)
		}
	})
}
