package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// paced answers a byte per step.
type paced struct {
	ctx  context.Context
	step time.Duration
}

func (p paced) Read(b []byte) (int, error) {
	select {
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	case <-time.After(p.step):
		return copy(b, "x"), nil
	}
}

// Rule: a body is left after a window with too little, and not before; nothing
// at all is too little.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		step, after time.Duration
	}{{2 * time.Second, time.Minute}, {time.Hour, time.Minute}, {100 * time.Millisecond, 10 * time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			f := &Fetcher{lim: limits{window: time.Minute, least: 60}}
			began := time.Now()
			r := &flow{f: f, ctx: ctx, body: paced{ctx, c.step}}
			defer r.watch(cancel)()
			end := time.AfterFunc(10*time.Minute, func() { cancel(io.EOF) })
			defer end.Stop()
			_, err := io.Copy(io.Discard, r)
			if took := time.Since(began); took != c.after {
				t.Errorf("a byte each %v: left after %v", c.step, took)
			}
			if slow := errors.Is(err, errSlow); slow != (c.after < 10*time.Minute) {
				t.Errorf("a byte each %v: %v", c.step, err)
			}
		})
	}
}

// Rule: no more than the configured rate is read, after one burst.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fetcher{lim: defaultLimits(10_000), rate: rate.NewLimiter(10_000, 2500)}
		began := time.Now()
		r := &flow{f: f, ctx: t.Context(), body: bytes.NewReader(make([]byte, 102_500))}
		if n, err := io.Copy(io.Discard, r); n != 102_500 || err != nil {
			t.Fatal(n, err)
		}
		if took := time.Since(began); took < 9900*time.Millisecond || took > 10100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// Rule: a rate that was configured is never taken for a slow server.
func TestSlowByWish(t *testing.T) {
	for _, rate := range []int64{1, 10, 100, 1000, 1 << 20} {
		l := defaultLimits(rate)
		if l.least > rate*60/2 {
			t.Errorf("rate %d: at least %d bytes are wanted in %v", rate, l.least, l.window)
		}
	}
	f := fetcher(t, "http://localhost/", func(c *Config, _ *limits) { c.Rate = 1 })
	if f.rate.Burst() != 1 {
		t.Errorf("burst of %d", f.rate.Burst())
	}
}

// Rule: a limited connection holds little back in the kernel, and works.
func TestReceiveBuffer(t *testing.T) {
	s := newShelf(t)
	file, want := one(t, s, noise(100_000, 1), None)
	f := fetcher(t, s.URL, func(c *Config, _ *limits) { c.Rate = 100 << 20 })
	prepare(t, f, want)
	take(t, f, file)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := net.Dialer{Control: receiveBuffer(1000)}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// Rule: pauses grow, differ, and stay within what is planned.
func TestPause(t *testing.T) {
	f := &Fetcher{lim: defaultLimits(0)}
	seen := map[time.Duration]bool{}
	for try := 1; try <= f.lim.tries; try++ {
		whole := f.lim.backoff << (try - 1)
		for range 20 {
			d := f.pause(try)
			if d < whole/2 || d > whole {
				t.Errorf("try %d: %v", try, d)
			}
			seen[d] = true
		}
		if whole > f.lim.patience {
			t.Errorf("try %d: %v would not be waited out", try, whole)
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d different pauses", len(seen))
	}
}
