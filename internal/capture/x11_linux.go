package capture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/damage"
	"github.com/jezek/xgb/shm"
	"github.com/jezek/xgb/xproto"

	"portward/internal/surface"
)

// BUG(portward): a server that lies about the length of a reply makes xgb v1.1.1
// panic. Who names a display trusts its server: it sees and feeds all input.

const (
	answerWithin = 10 * time.Second // a server that takes longer is gone
	probeWithin  = time.Second      // the same, for answers
)

func x11Screens(ctx context.Context, name string) (int, error) {
	n, err := countScreens(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("display %s: %w", name, err)
	}
	return n, nil
}

func countScreens(ctx context.Context, name string) (int, error) {
	d, err := parseDisplay(name)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	l, err := newLink(ctx, d)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	info, err := readHello(l.hello)
	if err != nil {
		return 0, err
	}
	return len(info.Roots), nil
}

func openX11(ctx context.Context, name string) (Source, error) {
	d, err := parseDisplay(name)
	if err != nil {
		return nil, err
	}
	s, err := connect(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("display %s: %w", name, err)
	}
	return s, nil
}

func answers(name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeWithin)
	defer cancel()
	_, err := countScreens(ctx, name)
	return err == nil
}

// newLink dials and greets; ctx ends both. A server whose last client just left
// may be resetting itself and hang up on who comes in that moment, so one that
// took the call and hung up is called once more.
func newLink(ctx context.Context, d display) (*link, error) {
	l, hungUp, err := call(ctx, d)
	if hungUp && ctx.Err() == nil {
		l, _, err = call(ctx, d)
	}
	return l, err
}

func call(ctx context.Context, d display) (l *link, hungUp bool, err error) {
	c, err := d.dial(ctx)
	if err != nil {
		return nil, false, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	hello, err := greet(c, cookieFor(d))
	if !stop() {
		err = fmt.Errorf("%w: %w", ErrGone, ctx.Err())
	}
	if err != nil {
		c.Close()
		return nil, errors.Is(err, ErrGone), err
	}
	return &link{UnixConn: c, in: bufio.NewReader(c), hello: hello}, false, nil
}

func connect(ctx context.Context, d display) (*screen, error) {
	readyXGB()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	l, err := newLink(ctx, d)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	s := &screen{link: l, limit: answerWithin}
	err = s.prepare(d.screen)
	if !stop() {
		err = fmt.Errorf("%w: %w", ErrGone, ctx.Err())
	}
	if err != nil {
		s.abandon()
		return nil, err
	}
	s.ended.Go(s.pump)
	return s, nil
}

// abandon closes a connection that has no pump, and waits until xgb's reader is
// through; it may have events to get rid of.
func (s *screen) abandon() {
	s.link.Close()
	if s.conn == nil {
		return
	}
	for event, xerr := s.conn.WaitForEvent(); event != nil || xerr != nil; {
		event, xerr = s.conn.WaitForEvent()
	}
}

// prepare asks for events before it asks for the geometry: a change after the
// answer comes as an event.
func (s *screen) prepare(number int) (err error) {
	if s.root, err = findScreen(s.link.hello, number); err != nil {
		return err
	}
	if s.conn, err = xgb.NewConnNet(s.link); err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err := s.useSharedMemory(); err != nil {
		return err
	}
	err = xproto.ChangeWindowAttributesChecked(s.conn, s.root, xproto.CwEventMask, []uint32{xproto.EventMaskStructureNotify}).Check()
	if err != nil {
		return reason(err)
	}
	g, err := xproto.GetGeometry(s.conn, xproto.Drawable(s.root)).Reply()
	if err != nil {
		return reason(err)
	}
	s.geometry = surface.Geometry{Width: int(g.Width), Height: int(g.Height), Stride: int(g.Width) * surface.BytesPerPixel, Format: surface.FormatBGRX}
	if err := s.geometry.Check(); err != nil {
		return err
	}
	s.ledger = newLedger(s.geometry)
	if err := s.useDamage(); err != nil {
		return err
	}
	if err := s.usePointer(); err != nil {
		return err
	}
	s.catchUp()
	return nil
}

func (s *screen) useSharedMemory() error {
	ext, err := s.extension("MIT-SHM")
	if err != nil {
		return err
	}
	s.link.shm.Store(uint32(ext.MajorOpcode))
	v, err := shm.QueryVersion(s.conn).Reply()
	if err != nil {
		return reason(err)
	}
	if v.MajorVersion < 1 || v.MajorVersion == 1 && v.MinorVersion < 2 {
		return fmt.Errorf("MIT-SHM %d.%d takes no descriptors: needs 1.2", v.MajorVersion, v.MinorVersion)
	}
	return nil
}

func (s *screen) useDamage() error {
	ext, err := s.extension("DAMAGE")
	if err != nil {
		return err
	}
	s.notify = ext.FirstEvent + damage.Notify
	if _, err := damage.QueryVersion(s.conn, 1, 1).Reply(); err != nil { // the server demands it first
		return reason(err)
	}
	id, err := damage.NewDamageId(s.conn)
	if err != nil {
		return reason(err)
	}
	err = damage.CreateChecked(s.conn, id, xproto.Drawable(s.root), damage.ReportLevelRawRectangles).Check()
	if err != nil {
		return reason(err)
	}
	return nil
}

// errAbsent says that a server lacks an extension.
var errAbsent = errors.New("the server does not have it")

// extension does what an extension's Init would do in xgb, without its global
// tables; see readyXGB.
func (s *screen) extension(name string) (*xproto.QueryExtensionReply, error) {
	r, err := xproto.QueryExtension(s.conn, uint16(len(name)), name).Reply()
	if err != nil {
		return nil, reason(err)
	}
	if !r.Present {
		return nil, fmt.Errorf("%s: %w", name, errAbsent)
	}
	s.conn.ExtLock.Lock()
	defer s.conn.ExtLock.Unlock()
	s.conn.Extensions[name] = r.MajorOpcode
	return r, nil
}
