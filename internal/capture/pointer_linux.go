package capture

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xfixes"
	"github.com/jezek/xgb/xproto"

	"portward/internal/surface"
)

// BUG(portward): a pointer that a client hides with XFixesHideCursor is shown
// all the same: an X server tells nobody.

const (
	calmAfter = 200 * time.Millisecond // a pointer that rests so long is calm
	askTold   = time.Second            // how often a calm one is asked for where motion is told
	askUntold = 200 * time.Millisecond // and where it is not
)

// A pointer is the mouse pointer as the picture shows it. No picture that the
// server gives has it, and no damage tells of it: its image comes from XFIXES,
// its place from QueryPointer. The server tells when to ask: XFIXES of another
// image, XInput 2 of each motion of a mouse. It tells nothing when a program
// moves the pointer (XWarpPointer), so a calm one is asked about once in a while as
// well, by whoever waits for a frame: nobody waits, nobody asks.
//
// All but redrawn, stirred and alarm belongs to the source's goroutine. The pump
// reads fixes and motion too: nobody writes them once it runs.
type pointer struct {
	conn   *xgb.Conn
	root   xproto.Window
	fixes  byte // the code of CursorNotify on this server, 0 without XFIXES
	motion byte // the opcode of XInput, 0 if no motion is told

	redrawn atomic.Bool // there may be another image
	stirred atomic.Bool // or the pointer may be elsewhere
	alarm   *time.Timer // wakes who waits, to ask

	image sprite
	place surface.Rect // where the image is; parts may lie outside of the screen
	asked time.Time
	moved time.Time
}

// A sprite is the image of a pointer: rows of ARGB, colours multiplied by alpha.
type sprite struct {
	serial     uint32 // the server's, 0 for no image
	w, h       int
	hotX, hotY int
	pixels     []uint32
}

// stir says that the pointer may be elsewhere. It wakes once, however often it
// is called until somebody asks.
func (p *pointer) stir() {
	if !p.stirred.Swap(true) {
		p.alarm.Reset(0)
	}
}

// look asks for the pointer, at most sixty times a second, and notes damage where
// it was and is.
func (s *screen) look() {
	p := s.pointer
	if early := time.Until(p.asked.Add(pace)); early > 0 {
		p.alarm.Reset(early)
		return
	}
	p.asked = time.Now()
	p.stirred.Store(false)
	before, changed := p.place, false
	if s.within(func() (err error) { changed, err = p.ask(); return err }) != nil {
		return // the source ended; its ledger says why
	}
	if changed {
		p.moved = p.asked
		s.ledger.add(before)
		s.ledger.add(p.place)
	}
	p.alarm.Reset(p.rest())
	if p.stirred.Load() { // meanwhile: its alarm may be lost in ours
		p.alarm.Reset(pace)
	}
}

// rest is how long nobody needs to ask.
func (p *pointer) rest() time.Duration {
	switch {
	case p.asked.Sub(p.moved) < calmAfter:
		return pace
	case p.motion != 0:
		return askTold
	}
	return askUntold
}

// ask answers whether the pointer is elsewhere or looks another way.
func (p *pointer) ask() (changed bool, err error) {
	if p.redrawn.Swap(false) {
		if changed, err = p.fetchImage(); err != nil {
			return false, err
		}
	}
	at, err := xproto.QueryPointer(p.conn, p.root).Reply()
	if err != nil {
		return false, err
	}
	var place surface.Rect // none on another screen than ours
	if at.SameScreen {
		place = surface.Rect{X: int(at.RootX) - p.image.hotX, Y: int(at.RootY) - p.image.hotY, W: p.image.w, H: p.image.h}
	}
	changed = changed || place != p.place
	p.place = place
	return changed, nil
}

// fetchImage answers whether the image is another one. A server that refuses has
// none to show.
func (p *pointer) fetchImage() (changed bool, err error) {
	r, err := xfixes.GetCursorImage(p.conn).Reply()
	if refusal := xgb.Error(nil); errors.As(err, &refusal) {
		r = new(xfixes.GetCursorImageReply)
	} else if err != nil {
		return false, fmt.Errorf("image of the pointer: %w", err)
	}
	if r.CursorSerial == p.image.serial {
		return false, nil
	}
	p.image = sprite{serial: r.CursorSerial, w: int(r.Width), h: int(r.Height), hotX: int(r.Xhot), hotY: int(r.Yhot), pixels: r.CursorImage}
	return true, nil
}

// drawOn blends the pointer over these rows of a picture, which have none yet.
func (p *pointer) drawOn(pix []byte, g surface.Geometry, rows surface.Rect) {
	part := p.place.Clip(rows)
	for y := part.Y; y < part.Y+part.H; y++ {
		from := (y-p.place.Y)*p.image.w + part.X - p.place.X
		blend(pix[y*g.Stride+part.X*surface.BytesPerPixel:], p.image.pixels[from:from+part.W])
	}
}

// blend lays src over the pixels of dst.
func blend(dst []byte, src []uint32) {
	for i, s := range src {
		if s == 0 {
			continue
		}
		below := 255 - s>>24
		d := dst[i*surface.BytesPerPixel:][:3]
		for c := range d {
			above := s >> (8 * c) & 0xff
			d[c] = byte(min(above+(uint32(d[c])*below+127)/255, 255))
		}
	}
}
