package capture

import (
	"errors"
	"fmt"

	"portward/internal/surface"
)

// The frame code is how a test card writes its number so that it can be read
// back from pixels, at the end of any pipeline: one row of square cells in the
// top left corner, black or white. Cell i covers x from i*CodeCell, y from 0,
// CodeCell pixels each way.
//
//	cells 0..31   the number's bits, the highest first; white is 1
//	cell  32      parity: white if an even number of bits is white
//	cell  33      check: the opposite of cell 32, so no plain picture is a code
//
// In JavaScript, from a canvas that shows the card unscaled:
//
//	const px = context.getImageData(0, 8, 544, 1).data
//	const cell = i => px[4 * (16*i + 8)] > 127 ? 1 : 0
//	let n = 0, odd = 0
//	for (let i = 0; i < 32; i++) { n = n*2 + cell(i); odd ^= cell(i) }
//	const valid = cell(32) === 1 - odd && cell(33) === odd
const (
	CodeCell  = 16                   // pixels: width and height of a cell
	CodeBits  = 32                   // cells that carry the number
	CodeCells = CodeBits + 2         // and parity, and check
	CodeWidth = CodeCells * CodeCell // pixels: width of the whole row
)

// ErrNoFrameNumber says that the pixels show no frame code.
var ErrNoFrameNumber = errors.New("no frame number")

// ReadFrameNumber reads a test card's number from a picture of geometry g.
func ReadFrameNumber(pix []byte, g surface.Geometry) (uint32, error) {
	if g.Width < CodeWidth || g.Height < CodeCell || g.Stride < 4*CodeWidth || len(pix)/CodeCell < g.Stride {
		return 0, fmt.Errorf("%w: %dx%d in %d bytes is too small for one", ErrNoFrameNumber, g.Width, g.Height, len(pix))
	}
	var seen frameCode
	for i := range seen {
		white, err := readCell(pix[CodeCell/2*g.Stride+4*(i*CodeCell+CodeCell/2):])
		if err != nil {
			return 0, fmt.Errorf("%w: cell %d %w", ErrNoFrameNumber, i, err)
		}
		seen[i] = white
	}
	n := seen.number()
	if seen != encodeFrame(n) {
		return 0, fmt.Errorf("%w: parity or check of %d is wrong", ErrNoFrameNumber, n)
	}
	return n, nil
}

// readCell reads one BGRX pixel, with some tolerance for what encoders do.
func readCell(p []byte) (white bool, err error) {
	switch low, high := min(p[0], p[1], p[2]), max(p[0], p[1], p[2]); {
	case high < 64:
		return false, nil
	case low >= 192:
		return true, nil
	}
	return false, fmt.Errorf("is neither black nor white: %v", p[:3])
}

// A frameCode is a number's cells from left to right; true is white.
type frameCode [CodeCells]bool

func encodeFrame(n uint32) (c frameCode) {
	odd := false
	for i := range CodeBits {
		c[i] = n>>(CodeBits-1-i)&1 == 1
		odd = odd != c[i]
	}
	c[CodeBits], c[CodeBits+1] = !odd, odd
	return c
}

func (c *frameCode) number() (n uint32) {
	for _, white := range c[:CodeBits] {
		n <<= 1
		if white {
			n |= 1
		}
	}
	return n
}
