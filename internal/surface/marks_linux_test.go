package surface_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"

	"portward/internal/surface"
)

// saltVariable makes the pixels of one era's frames its own.
const saltVariable = "PORTWARD_SURFACE_SALT"

var marked = surface.Geometry{Width: 640, Height: 360, Stride: 2560, Format: surface.FormatBGRX}

// spots are where a frame is marked: its corners and its middle.
var spots = func() (at [5]int) {
	g := marked
	for i, p := range [][2]int{{0, 0}, {g.Width - 1, 0}, {0, g.Height - 1}, {g.Width - 1, g.Height - 1}, {g.Width / 2, g.Height / 2}} {
		at[i] = p[1]*g.Stride + 4*p[0]
	}
	return at
}()

// spot is what the frame shows there.
func spot(salt, seq uint32, i int) uint32 { return (seq*5 + uint32(i)) ^ salt }

func paint(pix []byte, salt, seq uint32) {
	for i, at := range spots {
		binary.LittleEndian.PutUint32(pix[at:], spot(salt, seq, i))
	}
}

// checkSpots finds torn frames and foreign pixels.
func checkSpots(f surface.Frame, salt uint32) error {
	for i, at := range spots {
		if got, want := binary.LittleEndian.Uint32(f.Pix[at:]), spot(salt, f.Seq, i); got != want {
			return fmt.Errorf("frame %d shows %#x at spot %d, not %#x", f.Seq, got, i, want)
		}
	}
	return nil
}

// envNumber is 0 where nothing is told.
func envNumber(name string) (uint32, error) {
	text := os.Getenv(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return uint32(n), nil
}
