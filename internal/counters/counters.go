// Package counters knows the page of numbers that an agent writes and whoever
// started it reads: frames released and gaps. It must never know a picture, a
// peer or a file.
package counters

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/page"
)

// Name is the inherited descriptor's name.
const Name = "portward-counters"

// MaxGaps is how many of the latest gaps a page remembers.
const MaxGaps = 1024

// The page's words. Times are nanoseconds of CLOCK_MONOTONIC, which every life
// of the agent shares.
const (
	wordFrames = iota // frames that netchild released, over all lives of the agent
	wordBroken        // when the connection broke, 0 while streaming
	wordGaps          // gaps ever
	wordRing          // the latest gaps in nanoseconds, MaxGaps of them
	words      = wordRing + MaxGaps
)

// A Page is one session's numbers. One process writes, others read; every word
// is written whole.
type Page struct{ p *page.Page }

// New makes a page.
func New() (*Page, error) {
	p, err := page.New(words)
	if err != nil {
		return nil, err
	}
	return &Page{p}, nil
}

// Open maps the page behind f. f stays the caller's.
func Open(f *os.File) (*Page, error) {
	p, err := page.Open(f, words)
	if err != nil {
		return nil, err
	}
	return &Page{p}, nil
}

// File answers the descriptor to pass on.
func (c *Page) File() *os.File { return c.p.File() }

// Close unmaps the page.
func (c *Page) Close() error { return c.p.Close() }

// Broken notes that the connection broke now; the first such note since the
// last released frame counts. Before the first frame ever there is nothing to
// break.
func (c *Page) Broken() {
	if c.p.Load(wordFrames) > 0 && c.p.Load(wordBroken) == 0 {
		c.p.Store(wordBroken, uint64(now()))
	}
}

// Released counts a frame that netchild released now and ends a gap.
func (c *Page) Released() {
	if b := c.p.Load(wordBroken); b != 0 {
		n := c.p.Load(wordGaps)
		c.p.Store(wordRing+int(n%MaxGaps), uint64(max(0, now()-int64(b))))
		c.p.Store(wordGaps, n+1)
		c.p.Store(wordBroken, 0)
	}
	c.p.Add(wordFrames, 1)
}

// Reading is what a page says at one moment.
type Reading struct {
	Frames uint64
	Gaps   uint64          // ever
	Latest []time.Duration // the latest MaxGaps of them, oldest first
	Open   time.Duration   // for how long a gap has been open; 0: none is
}

// Read answers what the page says.
func (c *Page) Read() Reading {
	r := Reading{Frames: c.p.Load(wordFrames), Gaps: c.p.Load(wordGaps)}
	if b := c.p.Load(wordBroken); b != 0 {
		r.Open = time.Duration(max(1, now()-int64(b)))
	}
	first := uint64(0)
	if r.Gaps > MaxGaps {
		first = r.Gaps - MaxGaps
	}
	for n := first; n < r.Gaps && n-first < MaxGaps; n++ {
		r.Latest = append(r.Latest, time.Duration(c.p.Load(wordRing+int(n%MaxGaps))))
	}
	return r
}

// now reads CLOCK_MONOTONIC, clock_gettime(2).
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the clock exists on every kernel this builds for
	}
	return ts.Nano()
}
