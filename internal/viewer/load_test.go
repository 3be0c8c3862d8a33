package viewer

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portward/internal/surface"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

// Rule: twenty viewers see a stream, frame for frame, while others read nothing
// at all. What waits for those is bounded; they miss frames and, once they read,
// see the present. Nothing is left of anyone.
func TestViewersUnderLoad(t *testing.T) {
	whole := surface.RegionOf(surface.Rect{W: 400, H: 300})
	changes := surface.RegionOf(surface.Rect{W: 400, H: 140}, surface.Rect{X: 50, Y: 150, W: 100, H: 150}, surface.Rect{X: 300, Y: 200, W: 100, H: 50})
	for name, dirty := range map[string]surface.Region{"whole pictures": whole, "changes": changes} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			underLoad(t, dirty)
			goleak.VerifyNone(t, before)
		})
	}
}

func underLoad(t *testing.T, dirty surface.Region) {
	st := play(t, "127.0.0.1:0", 1, selfSigned(t), func(s *server) { s.patience.write, s.patience.ping = time.Hour, time.Hour })
	bgrx, _ := noise(1, 400, 300) // 480 KB that hardly compress
	a := enter(t, st, "1", 400, 300, func(pix []byte) { copy(pix, bgrx) })
	readers := make([]*reader, 20)
	for i := range readers {
		readers[i] = &reader{client: view(t, st.addr)}
	}
	until(t, "the readers are there", func() bool { return st.hub.Viewers() == len(readers) })
	lazy := []*reader{{client: deaf(t, st.addr)}, {client: deaf(t, st.addr)}, {client: deaf(t, st.addr)}}
	until(t, "the lazy are there", func() bool { return st.hub.Viewers() == len(readers)+len(lazy) })

	var reading sync.WaitGroup
	for _, r := range readers {
		reading.Go(r.read)
	}
	shown := showWhileBehind(t, a, dirty, readers, st.boxes[len(readers):])

	for _, l := range lazy {
		reading.Go(l.read)
		until(t, "a lazy viewer sees the present", func() bool { return l.seen.Load() >= shown })
		if n := l.count.Load(); n >= shown-10 {
			t.Errorf("a lazy viewer got %d updates of %d frames", n, shown)
		}
	}
	for _, r := range slices.Concat(readers, lazy) {
		if r.disorder.Load() {
			t.Error("updates came in the wrong order")
		}
		r.CloseNow()
	}
	reading.Wait()
	until(t, "all are gone", func() bool { return st.hub.Viewers() == 0 })
	a.chain.Close()
	st.stop()
}

// showWhileBehind shows frame after frame, each when all readers have seen the
// one before, until all the lazy have been behind for twenty, and answers the
// number of the last.
func showWhileBehind(t *testing.T, a *agent, dirty surface.Region, readers []*reader, lazy []*outbox) (seq uint32) {
	t.Helper()
	for round, behind := byte(0), 0; behind < 20; round++ {
		seq = a.show(dirty, func(pix []byte) { pix[0] = round })
		for _, r := range readers {
			until(t, "a reader sees the frame", func() bool { return r.seen.Load() >= seq })
		}
		behind++
		for _, b := range lazy {
			if waiting(t, b) == 0 {
				behind = 0
			}
		}
	}
	return seq
}

// waiting answers how many updates wait in a box, which has one session.
func waiting(t *testing.T, b *outbox) int {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes["1"]
	if l == nil {
		return 0
	}
	if len(b.lanes) > 1 || len(l.updates) > laneLength || len(l.updates) > 1 && l.bytes() > laneBytes {
		t.Errorf("%d lanes, %d updates of %d bytes wait", len(b.lanes), len(l.updates), l.bytes())
	}
	return len(l.updates)
}

// A reader takes all updates that come and remembers the last.
type reader struct {
	*client
	seen, count atomic.Uint32
	disorder    atomic.Bool
}

func (r *reader) read() {
	for {
		kind, data, err := r.Read(r.ctx)
		if err != nil {
			return
		}
		if kind != websocket.MessageBinary {
			continue
		}
		seq := binary.LittleEndian.Uint32(data[4:])
		if seq <= r.seen.Load() {
			r.disorder.Store(true)
		}
		r.count.Add(1)
		r.seen.Store(seq)
	}
}

// deaf is a viewer whose socket holds little.
func deaf(t *testing.T, addr string) *client {
	t.Helper()
	h := httpClient(t)
	h.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return c, err
	}
	c, status := dialWith(t, h, addr, nil)
	if c == nil {
		t.Fatalf("status %d", status)
	}
	c.say(`{"type":"hello","token":"` + testToken + `"}`)
	return c
}
