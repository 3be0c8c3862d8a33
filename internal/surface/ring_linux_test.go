package surface

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/linux"
)

// Rule: a ring is proven before it is mapped, and nothing of a refused one stays.
func TestRingRefusesPages(t *testing.T) {
	const sealing = unix.MFD_ALLOW_SEALING
	page := func(t *testing.T) *os.File { return memfile(t, ringSize, finalSize, sealing) }
	for lie, send := range map[string]func(t *testing.T, fd int){
		"nothing there": func(*testing.T, int) {},
		"no page":       func(t *testing.T, fd int) { sendPages(t, fd, 1) },
		"two pages":     func(t *testing.T, fd int) { sendPages(t, fd, 1, page(t), page(t)) },
		"another version": func(t *testing.T, fd int) {
			sendPages(t, fd, 2, page(t))
		},
		"too small":  func(t *testing.T, fd int) { sendPages(t, fd, 1, memfile(t, ringSize-1, finalSize, sealing)) },
		"too large":  func(t *testing.T, fd int) { sendPages(t, fd, 1, memfile(t, 2*ringSize, finalSize, sealing)) },
		"not sealed": func(t *testing.T, fd int) { sendPages(t, fd, 1, memfile(t, ringSize, 0, sealing)) },
		"may shrink": func(t *testing.T, fd int) { sendPages(t, fd, 1, memfile(t, ringSize, unix.F_SEAL_GROW, sealing)) },
		"read-only":  func(t *testing.T, fd int) { sendPages(t, fd, 1, reopen(t, page(t), os.O_RDONLY)) },
		"write-only": func(t *testing.T, fd int) { sendPages(t, fd, 1, reopen(t, page(t), os.O_WRONLY)) },
		"not writable": func(t *testing.T, fd int) {
			sendPages(t, fd, 1, memfile(t, ringSize, finalSize|unix.F_SEAL_WRITE, sealing))
		},
		"a device": func(t *testing.T, fd int) { sendPages(t, fd, 1, open(t, "/dev/zero", os.O_RDWR)) },
		"the peer is gone": func(t *testing.T, fd int) {
			unix.Shutdown(fd, unix.SHUT_RDWR)
		},
	} {
		t.Run(lie, func(t *testing.T) {
			noLeaks(t)
			ours, theirs := pair(t, unix.SOCK_SEQPACKET)
			defer ours.Close()
			defer theirs.Close()
			// Whatever the peer has the kernel add is closed too.
			for _, option := range []int{unix.SO_PASSCRED, unix.SO_PASSPIDFD, unix.SO_TIMESTAMP} {
				unix.SetsockoptInt(int(theirs.Fd()), unix.SOL_SOCKET, option, 1)
			}
			send(t, int(ours.Fd()))
			if _, err := (rings{}).adopt(theirs); !errors.Is(err, ErrHostile) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// sendPages sends descriptors, and closes them.
func sendPages(t *testing.T, fd int, version byte, files ...*os.File) {
	t.Helper()
	var fds []int
	for _, f := range files {
		defer f.Close()
		fds = append(fds, int(f.Fd()))
	}
	if err := unix.Sendmsg(fd, []byte{version}, unix.UnixRights(fds...), nil, 0); err != nil {
		t.Fatal(err)
	}
}

// Rule: what a peer does to the words of a ring, or beside it, ends the channel
// and nothing else.
func TestRingRefusesLies(t *testing.T) {
	for lie, c := range map[string]struct {
		tell func(t *testing.T, p *byHand)
		want error
	}{
		"more entries than there are": {func(_ *testing.T, p *byHand) { p.head(laneEntries + 1) }, ErrHostile},
		"entries taken back":          {func(_ *testing.T, p *byHand) { p.head(^uint32(0)) }, ErrHostile},
		"entries without end":         {func(_ *testing.T, p *byHand) { p.head(1 << 31) }, ErrHostile},
		"an entry never written":      {func(_ *testing.T, p *byHand) { p.head(1) }, ErrHostile},
		"rings for nothing":           {ringing, ErrHostile},
		"entries that come and go":    {fluttering, ErrHostile},
		"says that it is over":        {func(_ *testing.T, p *byHand) { p.out.finish(); p.socket.shutdown() }, ErrLost},
		"a message":                   {func(t *testing.T, p *byHand) { p.message(t, []byte("x"), nil) }, ErrHostile},
		"a message of no bytes":       {func(t *testing.T, p *byHand) { p.message(t, nil, nil) }, ErrLost},
		"stowaways":                   {func(t *testing.T, p *byHand) { p.message(t, []byte("x"), unix.UnixRights(0, 1, 2)) }, ErrHostile},
	} {
		for _, when := range []string{"before", "while it waits"} {
			t.Run(lie+" "+when, func(t *testing.T) {
				noLeaks(t)
				o, producer := honestOffer(t)
				s, err := Open(o.geometry, o.surfaces, o.frames, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if when == "before" {
					c.tell(t, producer)
				} else {
					go func() {
						time.Sleep(time.Millisecond) // either order is fine
						c.tell(t, producer)
					}()
				}
				if _, err := s.Next(deadline(t)); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			})
		}
	}
}

// ringing wakes the consumer until it is gone.
func ringing(_ *testing.T, p *byHand) {
	go p.untilOver(p.out.rouse)
}

// fluttering has entries whenever the consumer is about to sleep, and none when
// it looks, or too many.
func fluttering(_ *testing.T, p *byHand) {
	go p.untilOver(func() {
		p.head(1 << 20)
		p.head(0)
	})
}

// Rule: a reader that claims to have read what it cannot have read is refused by
// the next that is sent.
func TestRingRefusesReaders(t *testing.T) {
	for lie, tail := range map[string]uint32{"ahead": 1, "far ahead": 1 << 31, "behind": ^uint32(laneEntries - 1)} {
		t.Run(lie, func(t *testing.T) {
			noLeaks(t)
			r, theirs, err := rings{}.create()
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			consumer := consumerByHand(t, theirs)
			defer consumer.Close()
			atomic.StoreUint32(consumer.in.tail, tail)
			if err := r.sendFrame(descriptor{seq: 1}); !errors.Is(err, ErrHostile) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Rule: what the peer wrote before its end counts, as with a socket.
func TestRingIsReadToItsEnd(t *testing.T) {
	noLeaks(t)
	r, theirs, err := rings{}.create()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := r.sendFrame(descriptor{seq: uint32(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	r.close()
	consumer := consumerByHand(t, theirs)
	for i := range 3 {
		if d, err := consumer.recvFrame(deadline(t)); err != nil || d.seq != uint32(i+1) {
			t.Fatal(d, err)
		}
	}
	if _, err := consumer.recvFrame(deadline(t)); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
	consumer.Close()
}

// Rule: a ring goes on when its numbers begin again, and a queue never loses,
// doubles or reorders.
func TestRingWraps(t *testing.T) {
	noLeaks(t)
	r, theirs, err := rings{}.create()
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	producer, consumer := r.(*ring), consumerByHand(t, theirs)
	defer consumer.Close()
	const start = ^uint32(99)
	producer.out.at, consumer.in.at = start, start
	atomic.StoreUint32(producer.out.head, start)
	atomic.StoreUint32(producer.out.tail, start)
	go func() {
		for i := uint32(1); i <= 1000; {
			switch err := producer.sendFrame(descriptor{seq: i}); {
			case err == nil:
				i++
			case errors.Is(err, ErrClosed): // otherwise it is full
				return
			}
		}
	}()
	for i := uint32(1); i <= 1000; i++ {
		if d, err := consumer.recvFrame(deadline(t)); err != nil || d.seq != i {
			t.Fatal(i, d, err)
		}
	}
}

// Rule: no peer keeps a receiver asleep that its own process wants back, whatever
// it does to the word on which it sleeps.
func TestRingPeerCannotKeepOurThread(t *testing.T) {
	noLeaks(t)
	for attack, do := range map[string]func(*lane){
		"writes that we sleep":   func(l *lane) { atomic.StoreUint32(l.asleep, 1) },
		"writes that we do not":  func(l *lane) { atomic.StoreUint32(l.asleep, 0) },
		"takes our thread away":  func(l *lane) { linux.FutexRequeue(l.asleep, l.over) },
		"takes it, and says not": func(l *lane) { linux.FutexRequeue(l.asleep, l.over); atomic.StoreUint32(l.asleep, 1) },
	} {
		for end, c := range map[string]struct {
			end  func(*byHand, context.CancelFunc)
			want error
		}{
			"close":   {func(consumer *byHand, _ context.CancelFunc) { consumer.Close() }, ErrClosed},
			"context": {func(_ *byHand, cancel context.CancelFunc) { cancel() }, context.Canceled},
		} {
			t.Run(attack+" at "+end, func(t *testing.T) {
				t.Parallel()
				r, theirs, err := rings{}.create()
				if err != nil {
					t.Fatal(err)
				}
				producer, consumer := &byHand{r.(*ring)}, consumerByHand(t, theirs)
				ctx, cancel := context.WithCancel(deadline(t))
				defer cancel()
				got := make(chan error)
				go func() {
					_, err := consumer.recvFrame(ctx)
					got <- err
				}()
				for consumer.waits.Load() == 0 {
					time.Sleep(time.Millisecond)
				}
				attacked := make(chan struct{})
				go func() {
					defer close(attacked)
					producer.untilOver(func() { do(&producer.out) })
				}()
				time.Sleep(5 * time.Millisecond) // the attack is on, most likely
				c.end(consumer, cancel)
				if err := <-got; !errors.Is(err, c.want) && !errors.Is(err, ErrHostile) {
					t.Error(err)
				}
				consumer.Close()
				producer.Close()
				<-attacked
			})
		}
	}
}
