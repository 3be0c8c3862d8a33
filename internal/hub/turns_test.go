package hub

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"portward/internal/surface"
)

// A crowd encodes whole pictures, one for each of its sessions, on one encoder,
// and keeps the order of the turns. Whoever has the encoder may write to it.
type crowd struct {
	t       *testing.T
	h       *Hub
	turns   []string
	enough  bool // the large ones encode no more
	pauseAt int  // before this turn it waits for resume
	resume  chan struct{}
	all     sync.WaitGroup
}

func (c *crowd) encode(id string, f surface.Frame) {
	d, _, err := newDraft(id, 1, f)
	if err != nil {
		c.t.Fatal(err)
	}
	c.all.Go(func() {
		err := c.h.inTurns(c.t.Context(), func(e *encoder) bool {
			if c.enough {
				return false
			}
			if c.turns = append(c.turns, id); len(c.turns) == c.pauseAt {
				<-c.resume
			}
			return d.encodeBand(e)
		})
		if err != nil {
			c.t.Error(err)
		}
	})
}

// Rule: while eight sessions encode pictures as large as there are on the only
// encoder, one with a small picture has it after at most eight bands, whether they
// begin at the same time or have been at it for long.
func TestLargePicturesDelayByABandEach(t *testing.T) {
	g := surface.Geometry{Width: 8192, Height: 5120, Stride: 8192 * 4, Format: surface.FormatBGRX} // 160 MiB
	large := surface.Frame{Seq: 1, Geometry: g, Dirty: surface.RegionOf(g.Bounds()), Pix: make([]byte, g.Size())}
	small := surface.Frame{Seq: 1, Geometry: geometry, Dirty: surface.RegionOf(part), Pix: make([]byte, geometry.Size())}
	for _, begun := range []int{1, 2, 21} {
		t.Run(fmt.Sprint(begun), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := New(Config{})
				h.encoders = newEncoders(1)
				c := &crowd{t: t, h: h, pauseAt: begun, resume: make(chan struct{})}
				const sessions = 8
				for i := range sessions {
					c.encode(fmt.Sprint(i), large)
				}
				synctest.Wait() // one has the encoder, the others wait for it
				c.honest(small)
				synctest.Wait() // and the honest one behind them
				close(c.resume)
				c.all.Wait()
				c.check(begun, sessions)
			})
		})
	}
}

// honest encodes one small picture, after which all have had enough.
func (c *crowd) honest(f surface.Frame) {
	d, _, err := newDraft("honest", 1, f)
	if err != nil {
		c.t.Fatal(err)
	}
	c.all.Go(func() {
		_ = c.h.inTurns(c.t.Context(), func(e *encoder) bool {
			c.turns, c.enough = append(c.turns, "honest"), true
			return d.encodeBand(e)
		})
	})
}

func (c *crowd) check(begun, sessions int) {
	c.t.Helper()
	if last := c.turns[len(c.turns)-1]; last != "honest" || len(c.turns)-begun > sessions {
		c.t.Errorf("turns %v, waiting since turn %d", c.turns, begun)
	}
}

// Rule: a session that ends in the middle of a picture makes none of it, and the
// encoder is there for others.
func TestEndBetweenTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := runHub(t, Config{})
		defer stop()
		h.encoders = newEncoders(1)
		v := &memViewer{}
		subscribe(t, h, v)
		g := surface.Geometry{Width: 4096, Height: 1024, Stride: 4096 * 4, Format: surface.FormatBGRX}
		m := newMemFrames()
		detach := h.attachMem(t, "1", m, none)
		e := <-h.encoders
		m.put(surface.Frame{Geometry: g, Dirty: surface.RegionOf(g.Bounds()), Pix: make([]byte, g.Size())})
		synctest.Wait()
		detach()
		h.encoders <- e
		other := newMemFrames()
		h.attachMem(t, "2", other, none)
		other.show(geometry.Bounds())
		synctest.Wait()
		m.check(t)
		if v.offers() != 1 || other.count() != 1 {
			t.Errorf("%d offers, %d released", v.offers(), other.count())
		}
	})
}
