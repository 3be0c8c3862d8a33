package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
)

// dial connects to the display's socket, or the abstract one of the same name.
func (d display) dial(ctx context.Context) (*net.UnixConn, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", d.socket)
	if err != nil {
		var abstract error
		if c, abstract = dialer.DialContext(ctx, "unix", "@"+d.socket); abstract != nil {
			return nil, fmt.Errorf("%w: %w", ErrGone, err)
		}
	}
	return c.(*net.UnixConn), nil
}

// greet exchanges the hellos of the X11 protocol (X Window System Protocol,
// chapter 8, Connection Setup) and answers the server's, whole. We do it and
// not xgb, which on a connection handed to it looks no cookie up by its display
// and panics on some refusals.
func greet(c io.ReadWriter, secret cookie) ([]byte, error) {
	if _, err := c.Write(helloRequest(secret)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	hello := append(head, make([]byte, 4*int(binary.LittleEndian.Uint16(head[6:])))...)
	if _, err := io.ReadFull(c, hello[8:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	const refused, accepted = 0, 1
	switch hello[0] {
	case accepted:
		return hello, nil
	case refused:
		reason := hello[8 : 8+min(int(hello[1]), len(hello)-8)]
		return nil, fmt.Errorf("refused by the server: %q", strings.TrimSpace(string(reason)))
	}
	return nil, errors.New("the server asks for an unknown authentication")
}

func helloRequest(secret cookie) []byte {
	name := cookieName
	if len(secret) == 0 {
		name = ""
	}
	b := []byte{'l', 0} // the low byte first
	for _, n := range []int{11, 0, len(name), len(secret), 0} {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
	}
	b = append(b, name...)
	b = append(b, make([]byte, xgb.Pad(len(b))-len(b))...)
	return append(b, secret...) // cookieSize needs no padding
}

// readHello reads the server's hello.
func readHello(hello []byte) (info *xproto.SetupInfo, err error) {
	defer func() {
		if recover() != nil { // xgb reads past the end of a malformed one
			info, err = nil, errors.New("malformed hello of the server")
		}
	}()
	info = new(xproto.SetupInfo)
	xproto.SetupInfoRead(hello, info)
	return info, nil
}

// findScreen answers the screen's root window if its pixels can be shared as
// they are: four bytes each, blue first.
func findScreen(hello []byte, screen int) (xproto.Window, error) {
	info, err := readHello(hello)
	if err != nil {
		return 0, err
	}
	if screen >= len(info.Roots) {
		return 0, fmt.Errorf("%w: number %d of %d", ErrNoScreen, screen, len(info.Roots))
	}
	s := &info.Roots[screen]
	if bits := bitsPerPixel(info, s.RootDepth); bits != 32 || s.RootDepth < 24 {
		return 0, fmt.Errorf("depth %d in %d bits per pixel: only 24 or 32 in 32 can be captured", s.RootDepth, bits)
	}
	if info.ImageByteOrder != xproto.ImageOrderLSBFirst {
		return 0, errors.New("pixels have their high byte first: only the low byte first can be captured")
	}
	if v := rootVisual(s); v.RedMask != 0xff0000 || v.GreenMask != 0xff00 || v.BlueMask != 0xff {
		return 0, fmt.Errorf("colours at %#x, %#x, %#x: only red, green, blue from high to low can be captured", v.RedMask, v.GreenMask, v.BlueMask)
	}
	return s.Root, nil
}

func bitsPerPixel(info *xproto.SetupInfo, depth byte) byte {
	for _, f := range info.PixmapFormats {
		if f.Depth == depth {
			return f.BitsPerPixel
		}
	}
	return 0
}

func rootVisual(s *xproto.ScreenInfo) xproto.VisualInfo {
	for _, d := range s.AllowedDepths {
		for _, v := range d.Visuals {
			if v.VisualId == s.RootVisual {
				return v
			}
		}
	}
	return xproto.VisualInfo{}
}
