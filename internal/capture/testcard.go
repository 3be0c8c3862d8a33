package capture

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"time"

	"portward/internal/surface"
)

// Options describe a test card; zero values take the default.
type Options struct {
	Width, Height int    // pixels; default 640x360, at least CodeWidth x 2*HeadHeight
	FPS           int    // frames per second, 1 to 240; default 30
	Session       string // chooses the card's colour
	Static        bool   // draw once; Wait then blocks until Invalidate
}

// HeadHeight is how many pixel rows at the top of a test card change from frame
// to frame: the row of the frame code and, below it, the track of a moving bar.
const HeadHeight = 3 * CodeCell

const (
	barWidth = 2 * CodeCell // pixels
	barStep  = 8            // pixels from frame to frame
	maxFPS   = 240
)

// OpenTestcard answers a source that needs no display: a plain card in its
// session's colour (SessionColour), at the top the number of the frame
// (ReadFrameNumber) and a bar that moves. The first frame has the number 1.
// Each tick of the frame rate makes the next one; ticks that pass while nobody
// waits are left out, not caught up with. The head alone changes, as one
// rectangle, so a number is always drawn and reported whole.
func OpenTestcard(o Options) (Source, error) {
	o = o.withDefaults()
	g := surface.Geometry{Width: o.Width, Height: o.Height, Stride: o.Width * surface.BytesPerPixel, Format: surface.FormatBGRX}
	if o.Width < CodeWidth || o.Height < 2*HeadHeight {
		return nil, fmt.Errorf("test card of %dx%d: needs at least %dx%d", o.Width, o.Height, CodeWidth, 2*HeadHeight)
	}
	if err := g.Check(); err != nil {
		return nil, fmt.Errorf("test card of %dx%d: %w", o.Width, o.Height, err)
	}
	if o.FPS < 1 || o.FPS > maxFPS {
		return nil, fmt.Errorf("test card at %d frames/s: want 1 to %d", o.FPS, maxFPS)
	}
	t := &testcard{geometry: g, ledger: newLedger(g), number: 1, colour: bgra(SessionColour(o.Session))}
	if !o.Static {
		t.interval = time.Second / time.Duration(o.FPS)
		t.next = time.Now().Add(t.interval)
	}
	return t, nil
}

func (o Options) withDefaults() Options {
	if o.Width == 0 && o.Height == 0 {
		o.Width, o.Height = 640, 360
	}
	if o.FPS == 0 {
		o.FPS = 30
	}
	return o
}

// SessionColour answers the colour of a session's test card: never near black,
// white or grey, and the same everywhere.
func SessionColour(session string) (r, g, b uint8) {
	h := fnv.New32a()
	h.Write([]byte(session))
	sum := h.Sum32()
	strong, weak, middle := uint8(208), uint8(48), uint8(80+sum>>8%80)
	switch sum % 6 {
	case 0:
		return strong, middle, weak
	case 1:
		return strong, weak, middle
	case 2:
		return middle, strong, weak
	case 3:
		return weak, strong, middle
	case 4:
		return middle, weak, strong
	}
	return weak, middle, strong
}

type pixel [4]byte

var (
	black = pixel{0, 0, 0, 255}
	white = pixel{255, 255, 255, 255}
)

func bgra(r, g, b uint8) pixel { return pixel{b, g, r, 255} }

// A testcard keeps its number; how it looks is a function of number, colour and
// geometry alone. Its goroutine is the caller's.
type testcard struct {
	geometry surface.Geometry
	ledger   *ledger
	interval time.Duration // zero: static
	colour   pixel

	buffers []*surface.Buffer
	number  uint32
	next    time.Time // when the next number is due
}

func (t *testcard) Geometry() surface.Geometry { return t.geometry }

func (t *testcard) Bind(buffers []*surface.Buffer) error {
	if err := checkBuffers(t.geometry, buffers); err != nil {
		return fmt.Errorf("test card: %w", err)
	}
	t.buffers = buffers
	t.ledger.bind(len(buffers))
	return nil
}

func (t *testcard) Wait(ctx context.Context) error {
	if t.interval == 0 {
		return t.ledger.wait(ctx, nil, nil)
	}
	timer := time.NewTimer(time.Until(t.next))
	defer timer.Stop()
	return t.ledger.wait(ctx, timer.C, t.step)
}

// step goes on to the next number and sets when the one after it is due: an
// interval after this one was, or from now if that is over already.
func (t *testcard) step() {
	now := time.Now()
	if t.next = t.next.Add(t.interval); t.next.Before(now) {
		t.next = now.Add(t.interval)
	}
	t.number++
	t.ledger.add(surface.Rect{W: t.geometry.Width, H: HeadHeight})
}

func (t *testcard) Fill(slot int) (surface.Region, error) {
	stale, fresh, err := t.ledger.take(slot)
	if err != nil || stale.Empty() {
		return fresh, err
	}
	rows := stale.Bounds()
	t.draw(t.buffers[slot].Pix, rows.Y, rows.Y+rows.H)
	return fresh, nil
}

func (t *testcard) Invalidate() { t.ledger.add(t.ledger.whole) }

func (t *testcard) Close() error {
	t.ledger.fail(os.ErrClosed)
	return nil
}

// draw draws the rows from top to bottom, bottom excluded.
func (t *testcard) draw(pix []byte, top, bottom int) {
	rows := []struct {
		end  int // the first row below
		draw func(row []byte)
	}{
		{CodeCell, t.drawCode},
		{HeadHeight, t.drawBar},
		{t.geometry.Height, t.drawBody},
	}
	row := make([]byte, 4*t.geometry.Width)
	y := top
	for _, band := range rows {
		if y >= min(band.end, bottom) {
			continue
		}
		band.draw(row)
		for ; y < min(band.end, bottom); y++ {
			copy(pix[y*t.geometry.Stride:], row)
		}
	}
}

func (t *testcard) drawCode(row []byte) {
	fill(row, t.colour)
	for i, on := range encodeFrame(t.number) {
		cell := row[4*i*CodeCell : 4*(i+1)*CodeCell]
		if on {
			fill(cell, white)
		} else {
			fill(cell, black)
		}
	}
}

func (t *testcard) drawBar(row []byte) {
	fill(row, black)
	places := uint32(t.geometry.Width-barWidth)/barStep + 1
	x := int(t.number%places) * barStep
	fill(row[4*x:4*(x+barWidth)], white)
}

func (t *testcard) drawBody(row []byte) { fill(row, t.colour) }

func fill(row []byte, p pixel) {
	for ; len(row) > 0; row = row[len(p):] {
		copy(row, p[:])
	}
}
