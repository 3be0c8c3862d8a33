package capture

import (
	"encoding/binary"
	"fmt"
	"math"

	xrender "github.com/jezek/xgb/render"
	"github.com/jezek/xgb/xproto"
	"github.com/jezek/xgb/xtest"

	"portward/internal/surface"
)

// A pattern is the image of a pointer, as sprite has it, of one size.
type pattern struct {
	w, h, hotX, hotY int
	pixels           []uint32
}

// pointerOf answers a pointer of one colour, ARGB multiplied by alpha, whose hot
// spot is in its middle.
func pointerOf(w, h int, argb uint32) pattern {
	m := pattern{w: w, h: h, hotX: w / 2, hotY: h / 2, pixels: make([]uint32, w*h)}
	for i := range m.pixels {
		m.pixels[i] = argb
	}
	return m
}

// over is the picture with the pointer's hot spot at x, y, the slow way.
func (m pattern) over(picture []byte, g surface.Geometry, x, y int) []byte {
	all := append([]byte(nil), picture...)
	for i, argb := range m.pixels {
		px, py := x-m.hotX+i%m.w, y-m.hotY+i/m.w
		if px < 0 || py < 0 || px >= g.Width || py >= g.Height {
			continue
		}
		for c := range 3 {
			d := &all[py*g.Stride+px*4+c]
			rest := float64(*d) * float64(255-argb>>24) / 255
			*d = byte(argb>>(8*c)&0xff) + byte(math.Round(rest))
		}
	}
	return all
}

// extension makes an extension's requests work on the painter's connection.
func (p *painter) extension(name string) {
	p.t.Helper()
	if _, err := (&screen{conn: p.conn}).extension(name); err != nil {
		p.t.Fatal(err)
	}
}

// hide gives the painter's root window a pointer that nobody sees.
func (p *painter) hide() {
	p.t.Helper()
	nothing, _ := xproto.NewPixmapId(p.conn)
	gc, _ := xproto.NewGcontextId(p.conn)
	cursor, err := xproto.NewCursorId(p.conn)
	if err != nil {
		p.t.Fatal(err)
	}
	xproto.CreatePixmap(p.conn, 1, nothing, p.root, 1, 1)
	xproto.CreateGC(p.conn, gc, xproto.Drawable(nothing), 0, nil) // it draws zeros
	xproto.PolyFillRectangle(p.conn, xproto.Drawable(nothing), gc, []xproto.Rectangle{{Width: 1, Height: 1}})
	xproto.CreateCursor(p.conn, cursor, nothing, nothing, 0, 0, 0, 0, 0, 0, 0, 0)
	p.wear(cursor)
}

// wear makes a cursor the pointer over the painter's root window.
func (p *painter) wear(cursor xproto.Cursor) {
	p.t.Helper()
	err := xproto.ChangeWindowAttributesChecked(p.conn, xproto.Window(p.root), xproto.CwCursor, []uint32{uint32(cursor)}).Check()
	if err != nil {
		p.t.Fatal(err)
	}
}

// point gives the painter's root window a pointer of that image.
func (p *painter) point(m pattern) {
	p.t.Helper()
	p.extension("RENDER")
	format, err := p.alphaFormat()
	if err != nil {
		p.t.Fatal(err)
	}
	pixmap, _ := xproto.NewPixmapId(p.conn)
	gc, _ := xproto.NewGcontextId(p.conn)
	picture, _ := xrender.NewPictureId(p.conn)
	cursor, err := xproto.NewCursorId(p.conn)
	if err != nil {
		p.t.Fatal(err)
	}
	xproto.CreatePixmap(p.conn, 32, pixmap, p.root, uint16(m.w), uint16(m.h))
	xproto.CreateGC(p.conn, gc, xproto.Drawable(pixmap), 0, nil)
	var data []byte
	for _, argb := range m.pixels {
		data = binary.LittleEndian.AppendUint32(data, argb)
	}
	xproto.PutImage(p.conn, xproto.ImageFormatZPixmap, xproto.Drawable(pixmap), gc, uint16(m.w), uint16(m.h), 0, 0, 0, 32, data)
	xrender.CreatePicture(p.conn, picture, xproto.Drawable(pixmap), format, 0, nil)
	xrender.CreateCursor(p.conn, cursor, picture, uint16(m.hotX), uint16(m.hotY))
	p.wear(cursor)
}

// alphaFormat finds RENDER's name for four bytes with alpha.
func (p *painter) alphaFormat() (xrender.Pictformat, error) {
	xrender.QueryVersion(p.conn, 0, 11).Reply()
	r, err := xrender.QueryPictFormats(p.conn).Reply()
	if err != nil {
		return 0, err
	}
	for _, f := range r.Formats {
		if f.Depth == 32 && f.Direct.AlphaShift == 24 && f.Direct.RedShift == 16 && f.Direct.BlueShift == 0 {
			return f.Id, nil
		}
	}
	return 0, fmt.Errorf("no format with alpha among %d", len(r.Formats))
}

// steer moves the mouse, as a hand would.
func (p *painter) steer(x, y int) {
	p.t.Helper()
	p.extension("XTEST")
	const motion = 6
	if err := xtest.FakeInputChecked(p.conn, motion, 0, 0, xproto.Window(p.root), int16(x), int16(y), 0).Check(); err != nil {
		p.t.Fatal(err)
	}
}

// warp moves the pointer, as a program would.
func (p *painter) warp(x, y int) {
	p.t.Helper()
	err := xproto.WarpPointerChecked(p.conn, 0, xproto.Window(p.root), 0, 0, 0, 0, int16(x), int16(y)).Check()
	if err != nil {
		p.t.Fatal(err)
	}
}
