package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/damage"
	"github.com/jezek/xgb/shm"
	"github.com/jezek/xgb/xproto"

	"portward/internal/surface"
)

// pace is the least time from one Wait of a screen to the next.
const pace = time.Second / 60

// A screen captures the root window of an X server.
//
// DAMAGE tells what changed, as raw rectangles: the server keeps no region for
// us that we would have to fetch. ShmGetImage then writes into the buffer's
// memfd, which the server has mapped. It writes a packed image at an offset and
// knows no stride; so the rows that changed are fetched over the full width of
// the screen (x 0, offset y*stride, stride 4*width), which puts every pixel into
// its final place. The mouse pointer, which no image has, is drawn over rows that
// were just fetched, and only there: the others have it already.
//
// The pump's goroutine owns the events; it ends when the connection does.
type screen struct {
	geometry surface.Geometry
	ledger   *ledger
	link     *link
	conn     *xgb.Conn
	root     xproto.Window
	notify   byte          // the code of DamageNotify on this server
	limit    time.Duration // answerWithin
	ended    sync.WaitGroup

	pointer  *pointer
	segments []shm.Seg         // by slot
	buffers  []*surface.Buffer // the same memory on our side
	last     time.Time         // when Wait answered
}

// pump handles events until the connection ends, which xgb reports with neither
// event nor error.
func (s *screen) pump() {
	for {
		event, xerr := s.conn.WaitForEvent()
		if event == nil && xerr == nil {
			s.ledger.fail(ErrGone)
			s.link.Close()
			return
		}
		s.handle(event)
	}
}

// catchUp handles the events that are here already. DAMAGE begins with one for
// the whole screen; handled before the first Fill, it repeats nothing.
func (s *screen) catchUp() {
	for {
		event, xerr := s.conn.PollForEvent()
		if event == nil && xerr == nil {
			return
		}
		s.handle(event)
	}
}

func (s *screen) handle(event xgb.Event) {
	switch e := event.(type) {
	case rawEvent:
		s.handleRaw(e)
	case xproto.ConfigureNotifyEvent:
		if e.Window == s.root && (int(e.Width) != s.geometry.Width || int(e.Height) != s.geometry.Height) {
			s.ledger.fail(ErrGeometry)
		}
	}
}

func (s *screen) handleRaw(e rawEvent) {
	switch {
	case e.code() == s.notify:
		a := damage.NotifyEventNew(e).(damage.NotifyEvent).Area
		s.ledger.add(surface.Rect{X: int(a.X), Y: int(a.Y), W: int(a.Width), H: int(a.Height)})
	case e.code() == s.pointer.fixes:
		s.pointer.redrawn.Store(true)
		s.pointer.stir()
	case e.movesPointer(s.pointer.motion):
		s.pointer.stir()
	}
}

func (s *screen) Geometry() surface.Geometry { return s.geometry }

// Bind lets the server map each buffer's memfd, instead of what it mapped
// before.
func (s *screen) Bind(buffers []*surface.Buffer) error {
	if err := checkBuffers(s.geometry, buffers); err != nil {
		return fmt.Errorf("display: %w", err)
	}
	err := s.within(func() error {
		if err := s.detach(); err != nil {
			return err
		}
		for _, b := range buffers {
			if err := s.attach(b.File); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.buffers = buffers
	s.ledger.bind(len(buffers))
	return nil
}

func (s *screen) detach() error {
	for _, seg := range s.segments {
		if err := shm.DetachChecked(s.conn, seg).Check(); err != nil {
			return err
		}
	}
	s.segments = nil
	return nil
}

func (s *screen) attach(f *os.File) error {
	seg, err := shm.NewSegId(s.conn)
	if err != nil {
		return err
	}
	const readOnly = false
	s.link.passing.Store(f)
	if err := shm.AttachFdChecked(s.conn, seg, readOnly).Check(); err != nil {
		return err
	}
	s.segments = append(s.segments, seg)
	return nil
}

// Wait lets at least a sixtieth of a second pass from answer to answer; what
// changes in between is merged.
func (s *screen) Wait(ctx context.Context) error {
	if err := s.ledger.wait(ctx, s.pointer.alarm.C, s.look); err != nil {
		return err
	}
	timer := time.NewTimer(time.Until(s.last.Add(pace)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.last = time.Now()
	return nil
}

func (s *screen) Fill(slot int) (surface.Region, error) {
	if s.pointer.stirred.Load() {
		s.look()
	}
	stale, fresh, err := s.ledger.take(slot)
	if err != nil || stale.Empty() {
		return fresh, err
	}
	rows := bands(stale, s.geometry.Width)
	if err := s.within(func() error { return s.fetch(slot, rows) }); err != nil {
		return fresh, err
	}
	for _, band := range rows {
		s.pointer.drawOn(s.buffers[slot].Pix, s.geometry, band)
	}
	return fresh, nil
}

// fetch asks for all bands before it waits for the first.
func (s *screen) fetch(slot int, rows []surface.Rect) error {
	cookies := make([]shm.GetImageCookie, len(rows))
	for i, band := range rows {
		cookies[i] = shm.GetImage(s.conn, xproto.Drawable(s.root),
			0, int16(band.Y), uint16(band.W), uint16(band.H),
			^uint32(0), xproto.ImageFormatZPixmap,
			s.segments[slot], uint32(band.Y*s.geometry.Stride))
	}
	for _, c := range cookies {
		if _, err := c.Reply(); err != nil {
			return err
		}
	}
	return nil
}

func (s *screen) Invalidate() { s.ledger.add(s.ledger.whole) }

// Close lets go of the server, which then unmaps the buffers.
func (s *screen) Close() error {
	s.ledger.fail(os.ErrClosed)
	s.link.Close()
	s.ended.Wait()
	return nil
}

// within runs requests that wait for answers. A server that takes longer than
// the limit loses its connection, which ends them. An error ends the source; the
// one that is answered is the reason why it ended.
func (s *screen) within(f func() error) error {
	timer := time.AfterFunc(s.limit, func() { s.link.Close() })
	defer timer.Stop()
	if err := f(); err != nil {
		return s.ledger.fail(reason(err))
	}
	return nil
}

// reason says what an error of a request means. A rectangle that does not fit
// the root window any more (BadMatch) comes before the event that says so.
func reason(err error) error {
	var match xproto.MatchError
	if errors.As(err, &match) {
		return fmt.Errorf("%w: %w", ErrGeometry, err)
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}
