package surfacetest

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"portward/internal/surface"
)

// testRelayRandom shows surfaces in any order, holds and releases frames in any
// order, and ends one side or the other at random: every frame keeps its pixels
// while it is out, and every picture is released once (newRelayRig counts).
func testRelayRandom(t *testing.T, w Way) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	steps := 20_000
	if testing.Short() {
		steps = 2_000
	}
	k := &relayKiller{relayRig: newRelayRig(t, w), random: rand.New(rand.NewPCG(seed, 0)), account: surface.NewAccount(ample)}
	k.know(0)
	k.attach(k.account)
	for range steps {
		k.step()
	}
	k.end()
	k.relay.Close()
	if n, b := k.account.Used(); n != 0 || b != 0 {
		t.Errorf("account left with %d chains, %d bytes", n, b)
	}
	t.Logf("%d frames, %d attaches", k.mark, k.attaches)
}

type relayKiller struct {
	*relayRig
	random   *rand.Rand
	account  *surface.Account
	out      []outing
	mark     uint32
	attaches int
}

func (k *relayKiller) step() {
	switch n := k.random.IntN(100); {
	case n < 55:
		k.frame()
	case n < 97:
		k.giveBack()
	case n < 99:
		k.end()
		k.attach(k.account)
		k.attaches++
	default: // a new channel, while frames are out on the old one
		k.sink.Close()
		k.out = k.checked(k.out)
		k.attach(k.account)
		k.attaches++
	}
}

// frame shows one more picture, if there is room for it and its surface is not
// out.
func (k *relayKiller) frame() {
	i := k.random.IntN(surface.MaxSlots)
	if len(k.out) == surface.Slots || k.drawings[i].lent.Load() != k.drawings[i].released.Load() {
		return
	}
	if err := k.relay.Room(k.ctx); err != nil {
		k.t.Fatal(err)
	}
	k.mark++
	k.show(i, k.mark)
	f := k.see(k.mark)
	k.out = append(k.out, outing{f, k.mark})
}

// giveBack releases any frame that is out.
func (k *relayKiller) giveBack() {
	if len(k.out) == 0 {
		return
	}
	i := k.random.IntN(len(k.out))
	o := k.out[i]
	k.out = append(k.out[:i], k.out[i+1:]...)
	k.checked([]outing{o})
}

// checked releases frames whose pixels are what they were.
func (k *relayKiller) checked(out []outing) []outing {
	for _, o := range out {
		if m := mark(o.Frame); m != o.mark {
			k.t.Fatalf("frame %d showed %d, and later %d", o.Seq, o.mark, m)
		}
		if err := o.Release(); err != nil && !errors.Is(err, surface.ErrClosed) && !errors.Is(err, surface.ErrLost) {
			k.t.Fatal(err)
		}
	}
	return nil
}

// end ends the consumer, with nothing out.
func (k *relayKiller) end() {
	k.out = k.checked(k.out)
	k.sink.Close()
	k.lost()
}
