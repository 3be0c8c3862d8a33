package surface

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// rings are channels through shared memory: two lanes in a page of a sealed
// memfd, frames one way and releases the other, and a doorbell (futex(2)) that
// is rung only for a peer that sleeps. A socket goes with it: it carries the
// page to the consumer, nothing else ever, and its end is the peer's.
//
// A receiver waits in the kernel. Its goroutine has the thread for itself until it
// has received, so that others that want to run do not keep a frame from it.
type rings struct{}

// A ring is one end. One goroutine receives and one sends at a time.
type ring struct {
	socket  socket
	page    []byte
	out, in lane
	end     atomic.Pointer[error] // why nothing more will come
	users   atomic.Int32          // of the page: those inside, and one until close
	closing sync.Once

	stirs // of the receiver
	pace  pace
}

// maxEmpty is how often in a row a peer may wake us for nothing. An honest one
// does it once at most for what it sends: when we had read that before.
const maxEmpty = 64

func (rings) create() (channel, *os.File, error) {
	s, peer, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, nil, err
	}
	page, err := sendPage(s)
	if err != nil {
		s.close()
		peer.Close()
		return nil, nil, err
	}
	return newRing(s, page, 0), peer, nil
}

func (rings) adopt(f *os.File) (channel, error) {
	s, err := adoptSocket(f, unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	page, err := receivePage(s)
	if err != nil {
		s.close()
		return nil, err
	}
	return newRing(s, page, 1), nil
}

// newRing sends on that lane, and receives on the other.
func newRing(s socket, page []byte, out int) *ring {
	r := &ring{socket: s, page: page, out: newLane(page, out), in: newLane(page, 1-out), pace: pace{began: time.Now()}}
	r.unheed = func() bool { return true }
	r.users.Store(1)
	r.stirred.Store(1)
	go r.mourn() // ends with close
	return r
}

// mourn waits for the end of the socket.
func (r *ring) mourn() {
	var b [1]byte
	n, _, err := r.socket.read(b[:])
	switch {
	case err == nil && n > 0:
		err = fmt.Errorf("%w: a message beside the ring", ErrHostile)
	case err == nil:
		err = ErrLost
	}
	r.end.CompareAndSwap(nil, &err)
	r.stir()
}

func (r *ring) sendFrame(d descriptor) error   { return r.send(d) }
func (r *ring) sendRelease(d descriptor) error { return r.send(d) }

func (r *ring) recvFrame(ctx context.Context) (descriptor, error) {
	b, err := r.recv(ctx)
	if err != nil {
		return descriptor{}, err
	}
	return decode(b[:])
}

func (r *ring) recvRelease() (descriptor, error) {
	b, err := r.recv(context.Background())
	if err != nil {
		return descriptor{}, err
	}
	return decodeRelease(b[:])
}

func (r *ring) send(d descriptor) error {
	if !r.enter() {
		return ErrClosed
	}
	defer r.leave()
	if end := r.ended(); end != nil {
		return end
	}
	return r.out.put(d)
}

func (r *ring) recv(ctx context.Context) (b [descriptorSize]byte, err error) {
	if err := ctx.Err(); err != nil {
		return b, err
	}
	if !r.enter() {
		return b, ErrClosed
	}
	defer r.leave()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for empty := 0; empty <= maxEmpty; {
		stirred := r.stirred.Load() // before we look: what comes afterwards, we hear
		end := r.ended()            // before the lane: what the peer wrote before its end counts
		if end != nil && !errors.Is(end, ErrLost) {
			return b, end
		}
		b, ok, err := r.in.take()
		switch {
		case ok || err != nil:
			return b, err
		case end != nil:
			return b, end
		case ctx.Err() != nil:
			return b, ctx.Err()
		}
		r.wait(ctx, stirred)
		if r.stirred.Load() == stirred {
			empty++
		}
	}
	return b, fmt.Errorf("%w: rings for nothing", ErrHostile)
}

// ended says why nothing more will come. A peer that closes its end says so in
// the page, which is known at once; of one that dies the socket tells.
func (r *ring) ended() error {
	if end := r.end.Load(); end != nil {
		return *end
	}
	if r.in.isOver() {
		return ErrLost
	}
	return nil
}

// close tells the peer at once, even when a descriptor of our end is elsewhere.
func (r *ring) close() {
	r.closing.Do(func() {
		closed := ErrClosed
		r.end.Store(&closed)
		r.out.finish()
		r.socket.shutdown()
		r.socket.close()
		r.stir()
		r.leave()
	})
}

// enter keeps the page mapped until leave.
func (r *ring) enter() bool {
	for {
		n := r.users.Load()
		if n == 0 {
			return false
		}
		if r.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (r *ring) leave() {
	if r.users.Add(-1) == 0 {
		unix.Munmap(r.page)
		r.unheed()
	}
}
