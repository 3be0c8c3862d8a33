package surface

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"portward/internal/linux"
)

// stirs are what wakes a receiver besides its peer: a context that is done,
// close, the end of the socket.
//
// The receiver sleeps on a word that the peer can write. An honest peer makes
// that exact: whoever has stirred before we sleep, we see; after that, he sees
// us asleep. A hostile one can make a stir go unheard: it writes the word in that
// moment, or has our thread sleep elsewhere (FUTEX_REQUEUE). So who stirs insists
// until he was heard. When that takes too long, it is taken for a lie: the page
// is replaced by memory of our own, in which nobody sleeps, and all threads look
// again.
type stirs struct {
	stirred atomic.Uint64 // how often; from 1 on
	waits   atomic.Uint64 // what stirred was when the receiver went to sleep; 0: it is awake

	heeded <-chan struct{} // of the context that stirs; the receiver's
	unheed func() bool
}

// insistence is how long a peer may be the reason that a stir is not heard.
const insistence = 500 * time.Millisecond

// wait sleeps until the peer wakes us, or somebody stirs or has stirred since.
func (r *ring) wait(ctx context.Context, stirred uint64) {
	if done := ctx.Done(); done != r.heeded {
		r.unheed()
		r.heeded, r.unheed = done, context.AfterFunc(ctx, r.stir)
	}
	r.waits.Store(stirred)
	r.in.sleep(&r.stirred, stirred, &r.pace)
	r.waits.Store(0)
}

// stir has the receiver look again. It never waits.
func (r *ring) stir() {
	n := r.stirred.Add(1)
	if !r.deaf(n) || !r.enter() {
		return
	}
	r.in.rouse()
	go r.insist(n) // not much longer than insistence: then we are awake
}

// deaf says whether the receiver sleeps since before stir n.
func (r *ring) deaf(n uint64) bool {
	w := r.waits.Load()
	return w != 0 && w < n
}

func (r *ring) insist(n uint64) {
	defer r.leave()
	began := time.Now()
	for pause := time.Millisecond; r.deaf(n); pause = min(2*pause, insistence/4) {
		time.Sleep(pause)
		r.in.rouse()
		if time.Since(began) > insistence && r.deaf(n) {
			r.cutOff()
		}
	}
}

// cutOff takes the page away from the peer, and our thread back.
func (r *ring) cutOff() {
	err := fmt.Errorf("%w: keeps our thread asleep", ErrHostile)
	r.end.CompareAndSwap(nil, &err)
	if linux.Replace(r.page) == nil {
		linux.Nudge()
	}
}
