package surfacetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"portward/internal/surface"
)

// testKiller streams frames whose first pixel rises with each of them, and
// ends one side or the other at random moments, often with frames out. Every
// frame must come in order and keep its pixels while it is out.
func testKiller(t *testing.T, w Way) {
	frames, limit := 100_000, 15*time.Second
	if testing.Short() {
		frames, limit = 5_000, 5*time.Second
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := &killer{
		rig: newRig(t, w, small), random: rand.New(rand.NewPCG(seed, 0)),
		account: surface.NewAccount(ample),
	}
	k.reconnect()
	eras := 0
	for end := time.Now().Add(limit); k.total < frames && time.Now().Before(end); eras++ {
		k.era()
	}
	k.sink.Close()
	k.chain.Close()
	if n, b := k.account.Used(); n != 0 || b != 0 {
		t.Errorf("account left with %d chains, %d bytes", n, b)
	}
	t.Logf("%d frames in %d eras", k.total, eras)
}

type killer struct {
	*rig
	random  *rand.Rand
	account *surface.Account
	sink    *surface.Sink
	total   int
	mark    uint32 // of the last frame; the producer of the era has it
}

func (k *killer) reconnect() {
	k.sink = k.rig.connect(k.account)
}

// era streams until a random number of frames was seen, kills, and mends.
func (k *killer) era() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reached, produced, consumed := make(chan struct{}), make(chan struct{}), make(chan consumption, 1)
	count, hold := 1+k.random.IntN(1000), k.random.IntN(surface.Slots)
	sink, chain := k.sink, k.chain
	go func() {
		defer close(produced)
		k.produce(ctx, chain)
	}()
	go func() { consumed <- consume(ctx, sink, count, hold, reached) }()
	<-reached
	if ctx.Err() != nil {
		k.t.Error("frames stopped")
	}
	switch k.random.IntN(4) {
	case 0: // the consumer dies
		sink.Close()
		<-produced
		k.reconnect()
	case 1: // the producer gives up the channel
		cancel()
		<-produced
		k.reconnect()
	case 2: // the producer dies, frames in flight
		chain.Close()
		<-produced
		k.renew()
	case 3: // both stop and go on with the same channel
		cancel()
		<-produced
	}
	c := <-consumed
	k.total += c.frames
	if c.fault != nil {
		k.t.Fatal(c.fault)
	}
	if sink != k.sink {
		sink.Close()
	}
	for _, f := range c.out {
		if m := mark(f.Frame); chain != k.chain && m != f.mark {
			k.t.Fatalf("frame %d showed %d, and %d after the death of its producer", f.Seq, f.mark, m)
		}
		f.Release()
	}
}

// renew makes a chain of a random geometry.
func (k *killer) renew() {
	g := surface.Geometry{Width: 1 + k.random.IntN(200), Height: 1 + k.random.IntN(100), Format: surface.FormatBGRX}
	g.Stride = 4 * (g.Width + k.random.IntN(9))
	chain, err := k.way.Platform.NewChain(g)
	if err != nil {
		k.t.Fatal(err)
	}
	k.chain = chain
	k.reconnect()
}

// produce submits frames with rising marks until something ends it.
func (k *killer) produce(ctx context.Context, chain *surface.Chain) {
	for {
		b, err := chain.Acquire(ctx)
		if err != nil {
			return
		}
		k.mark++
		binary.LittleEndian.PutUint32(b.Pix, k.mark)
		if chain.Submit(b, surface.RegionOf(chain.Geometry().Bounds())) != nil || ctx.Err() != nil {
			return
		}
	}
}

// An outing is a frame that is out, and what it showed at first.
type outing struct {
	surface.Frame
	mark uint32
}

type consumption struct {
	frames int
	out    []outing
	fault  error
}

// consume reads frames until something ends it, holding a few all the time,
// and closes reached when it has seen count of them or ends.
func consume(ctx context.Context, s *surface.Sink, count, hold int, reached chan<- struct{}) (c consumption) {
	defer func() {
		if c.frames < count {
			close(reached)
		}
	}()
	var last outing
	for {
		f, err := s.Next(ctx)
		if err != nil {
			if errors.Is(err, surface.ErrHostile) {
				c.fault = err
			}
			return c
		}
		o := outing{f, mark(f)}
		if f.Seq <= last.Seq || o.mark <= last.mark {
			c.fault = fmt.Errorf("frame %d showing %d after frame %d showing %d", f.Seq, o.mark, last.Seq, last.mark)
			return c
		}
		last = o
		c.out = append(c.out, o)
		if len(c.out) > hold {
			first := c.out[0]
			c.out = c.out[1:]
			if m := mark(first.Frame); m != first.mark {
				c.fault = fmt.Errorf("frame %d showed %d, and later %d", first.Seq, first.mark, m)
				return c
			}
			first.Release()
		}
		if c.frames++; c.frames == count {
			close(reached)
		}
	}
}
