package surface

import (
	"errors"
	"os"
	"testing"
)

// raw frames and releases as a peer may write them.
func frame(slot int, seq uint32, r Rect) []byte {
	d := descriptor{slot: slot, seq: seq}
	if r != (Rect{}) { // not RegionOf, which would not lie
		d.dirty.count, d.dirty.rects[0] = 1, r
	}
	b := d.encode()
	return b[:]
}

func with(b []byte, i int, v byte) []byte {
	c := append([]byte(nil), b...)
	c[i] = v
	return c
}

func TestSinkRefusesLies(t *testing.T) {
	all := square.Bounds()
	good := frame(0, 1, all)
	for lie, messages := range map[string][][]byte{
		"nothing at all":        {make([]byte, descriptorSize)},
		"two rectangles of one": {with(good, 1, 2)},
		"none of one":           {with(good, 1, 0)},
		"too many rectangles":   {with(good, 1, MaxRects+1)},
		"reserved low":          {with(good, 2, 1)},
		"reserved high":         {with(good, 3, 0x80)},
		"slot 3":                {frame(3, 1, all)},
		"slot 255":              {frame(255, 1, all)},
		"sequence zero":         {frame(0, 0, all)},
		"slot that is out":      {good, frame(0, 2, all)},
		"sequence again":        {good, frame(1, 1, all)},
		"sequence backwards":    {frame(0, 9, all), frame(1, 8, all)},
		"four frames":           {good, frame(1, 2, all), frame(2, 3, all), frame(0, 4, all)},
		"too wide":              {frame(0, 1, Rect{0, 0, 17, 16})},
		"too high":              {frame(0, 1, Rect{0, 0, 16, 17})},
		"too far right":         {frame(0, 1, Rect{1, 0, 16, 16})},
		"too far down":          {frame(0, 1, Rect{0, 1, 16, 16})},
		"corner at the end":     {frame(0, 1, Rect{65535, 65535, 65535, 65535})},
		"width without height":  {frame(0, 1, Rect{0, 0, 5, 0})},
		"place without content": {frame(0, 1, Rect{5, 5, 0, 0})},
	} {
		t.Run(lie, func(t *testing.T) {
			noLeaks(t)
			ctx := deadline(t)
			o, producer := honestOffer(t)
			defer producer.Close()
			s, err := Open(o.geometry, o.surfaces, o.frames, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var out []Frame
			for i, m := range messages {
				if err := producer.send(m); err != nil {
					t.Fatal(err)
				}
				f, err := s.Next(ctx)
				if last := i == len(messages)-1; last != errors.Is(err, ErrHostile) {
					t.Fatalf("message %d: %v", i, err)
				}
				if err == nil {
					out = append(out, f)
					defer f.Release()
				}
			}
			if _, err := s.Next(ctx); !errors.Is(err, ErrHostile) {
				t.Errorf("afterwards: %v", err)
			}
			for _, f := range out {
				if len(f.Pix) != square.Size() || f.Pix[0] != 0 {
					t.Error("a frame from before the lie is gone")
				}
			}
			if err := producer.sendFrame(descriptor{seq: 99}); !errors.Is(err, ErrLost) {
				t.Errorf("the liar's channel is open: %v", err)
			}
		})
	}
}

// 10,000 frames of a producer that never reads a release: the consumer's
// Release never waits, and the sink ends long before.
func TestSinkEndsDeafProducer(t *testing.T) {
	noLeaks(t)
	ctx := deadline(t)
	o, producer := honestOffer(t)
	defer producer.Close()
	s, err := Open(o.geometry, o.surfaces, o.frames, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 10_000 {
		if producer.send(frame(i%Slots, uint32(i+1), square.Bounds())) != nil {
			t.Fatalf("frame %d did not go out, nor was the last one refused", i)
		}
		f, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Release(); err != nil {
			if !errors.Is(err, ErrHostile) {
				t.Fatal(err)
			}
			if _, err := s.Next(ctx); !errors.Is(err, ErrHostile) {
				t.Fatal(err)
			}
			t.Logf("ended at frame %d", i)
			return
		}
	}
	t.Fatal("nothing limited the unread releases")
}

// A consumer, netchild or who took its place, lies to the producer.
func TestChainRefusesLies(t *testing.T) {
	good := frame(0, 1, Rect{})
	for lie, messages := range map[string][][]byte{
		"a count without a rectangle": {with(good, 1, 1)},
		"reserved":                    {with(good, 2, 1)},
		"a rectangle":                 {frame(0, 1, Rect{0, 0, 1, 1})},
		"slot 3":                      {frame(3, 1, Rect{})},
		"slot that is not out":        {frame(2, 1, Rect{})},
		"another frame":               {frame(0, 2, Rect{})},
		"frame to come":               {frame(0, 3, Rect{})},
		"sequence zero":               {frame(0, 0, Rect{})},
		"twice":                       {good, good},
		"twice with one between":      {good, frame(1, 2, Rect{}), good},
	} {
		t.Run(lie, func(t *testing.T) {
			noLeaks(t)
			ctx := deadline(t)
			c, err := NewChain(square)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			peer := consumerByHand(t, connect(t, c))
			defer peer.Close()
			submit(t, c)
			submit(t, c)
			for _, m := range messages {
				if err := peer.send(m); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-c.Lost():
			case <-ctx.Done():
				t.Fatal("the lie was believed")
			}
			if n := c.Released(); n != uint64(len(messages)-1) {
				t.Errorf("%d frames count as released", n)
			}
			b, _ := c.TryAcquire()
			if err := c.Submit(b, Region{}); !errors.Is(err, ErrLost) || !errors.Is(err, ErrHostile) {
				t.Errorf("submit: %v", err)
			}
			// Nothing of it concerns the next consumer.
			next := connect(t, c)
			defer next.Close()
			for range Slots {
				submit(t, c)
			}
		})
	}
}

func connect(t *testing.T, c *Chain) *os.File {
	t.Helper()
	peer, err := c.Connect()
	if err != nil {
		t.Fatal(err)
	}
	return peer
}

func submit(t *testing.T, c *Chain) {
	t.Helper()
	b, err := c.Acquire(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Submit(b, RegionOf(square.Bounds())); err != nil {
		t.Fatal(err)
	}
}

// A consumer that guesses its releases and reads no frame: Submit never waits.
func TestChainEndsDeafConsumer(t *testing.T) {
	noLeaks(t)
	ctx := deadline(t)
	c, err := NewChain(square)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer := consumerByHand(t, connect(t, c))
	defer peer.Close()
	for i := range 10_000 {
		b, err := c.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Submit(b, Region{}); err != nil {
			if !errors.Is(err, ErrHostile) || !errors.Is(err, ErrLost) {
				t.Fatal(err)
			}
			<-c.Lost()
			t.Logf("ended at frame %d", i)
			return
		}
		if err := peer.send(frame(b.Slot, uint32(i+1), Rect{})); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("nothing limited the unread frames")
}

// After the last sequence number the producer starts again on a new channel.
func TestSequenceStartsAgain(t *testing.T) {
	noLeaks(t)
	c, err := NewChain(square)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.seq = maxSeq - 1
	peer := consumerByHand(t, connect(t, c))
	defer peer.Close()
	submit(t, c)
	b, _ := c.TryAcquire()
	if err := c.Submit(b, Region{}); !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	select {
	case <-c.Lost():
	case <-deadline(t).Done():
		t.Fatal("channel stayed")
	}
	next := connect(t, c)
	defer next.Close()
	submit(t, c)
	if c.seq != 1 {
		t.Fatalf("sequence goes on with %d", c.seq)
	}
}
