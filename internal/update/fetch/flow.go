package fetch

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

const chunk = 32 << 10 // of a body, at a time

var errSlow = errors.New("too little came for too long")

// A flow is a body under our limits. It reads at most chunk bytes at once.
type flow struct {
	f    *Fetcher
	ctx  context.Context
	body io.Reader
	came atomic.Int64
}

func (r *flow) Read(p []byte) (int, error) {
	most := chunk
	if r.f.rate != nil {
		most = r.f.rate.Burst()
	}
	n, err := r.body.Read(p[:min(len(p), most)])
	r.came.Add(int64(n))
	if n > 0 && r.f.rate != nil {
		if err := r.f.rate.WaitN(r.ctx, n); err != nil {
			return n, r.passing(err)
		}
	}
	if err != nil && err != io.EOF {
		err = r.passing(err)
	}
	return n, err
}

func (r *flow) passing(err error) error {
	if cause := context.Cause(r.ctx); cause != nil {
		err = cause
	}
	return &passing{err: err}
}

// watch cancels when a window passes with too little. It answers what ends it.
func (r *flow) watch(cancel context.CancelCauseFunc) (end func()) {
	last := int64(0)
	var t *time.Timer
	armed := make(chan struct{})
	t = time.AfterFunc(r.f.lim.window, func() {
		<-armed
		now := r.came.Load()
		if now-last < r.f.lim.least {
			cancel(errSlow)
			return
		}
		last = now
		t.Reset(r.f.lim.window)
	})
	close(armed)
	return func() { t.Stop() }
}

// until reads for no longer than that.
type until struct {
	r   io.Reader
	end time.Time
}

func (u *until) Read(p []byte) (int, error) {
	if time.Now().After(u.end) {
		return 0, &passing{err: errSlow}
	}
	return u.r.Read(p)
}
