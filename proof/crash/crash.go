// Package crash knows which states a disk may be in after a power cut, given
// everything that was asked of it. It must never know what lies on the disk.
//
// The rule is the one of disks with a volatile cache: what was written before a
// flush is there; of what was written since, any part may be, in any order, cut
// anywhere between two sectors. The writes between two flushes are a window.
package crash

import (
	"fmt"
	"math/rand/v2"

	"portward/proof/medium"
)

// Options bound what is listed.
type Options struct {
	Sector int    // bytes that a disk writes whole or not at all
	All    int    // windows of up to so many writes: every subset
	Want   int    // random subsets of longer windows are added up to so many states
	Seed   uint64 // of those
}

// A State is one content of the disk: everything before record Flushed, and
// these writes out of the window that follows.
type State struct {
	Flushed int
	Applied []int
	Torn    *Tear  // applied last
	Promise string // the last mark that was passed before the window's end
}

// A Tear is the part of one write that reached the disk.
type Tear struct{ Record, From, To int }

func (s State) String() string {
	text := fmt.Sprintf("records 0-%d, then %v", s.Flushed-1, s.Applied)
	if s.Torn != nil {
		text += fmt.Sprintf(", then bytes %d-%d of %d", s.Torn.From, s.Torn.To, s.Torn.Record)
	}
	return text
}

// Image answers the disk's content in state s.
func (s State) Image(base *medium.Image, log []medium.Record) *medium.Image {
	blocks := map[int64][]byte{}
	for _, r := range log[:s.Flushed] {
		if r.Kind == medium.Write {
			base.Patch(blocks, r.Off, r.Data)
		}
	}
	s.patch(base, log, blocks)
	return base.With(blocks)
}

// Kept answers what is on the disk for certain.
func Kept(base *medium.Image, log []medium.Record) *medium.Image {
	var s State
	for i, r := range log {
		if r.Kind == medium.Flush {
			s.Flushed = i
		}
	}
	return s.Image(base, log)
}

func (s State) patch(im *medium.Image, log []medium.Record, blocks map[int64][]byte) {
	for _, i := range s.Applied {
		im.Patch(blocks, log[i].Off, log[i].Data)
	}
	if t := s.Torn; t != nil {
		im.Patch(blocks, log[t.Record].Off+int64(t.From), log[t.Record].Data[t.From:t.To])
	}
}

// States lists the states of a disk that held base and was then asked what log
// says, each content once: every prefix; of every window, every write alone,
// every single omission, and every write torn, after those before it and alone;
// and what Options add. A content that is reached twice is bound by what was
// promised the last time.
func States(base *medium.Image, log []medium.Record, o Options) []State {
	l := &lister{base: base, log: log, o: o, blocks: map[int64][]byte{}, seen: map[uint64]int{}, known: map[place]uint64{}}
	for start := 0; start <= len(log); start = l.window(start) {
	}
	l.fill()
	return l.states
}

// Marks are counted by their place in the log: the later one is the stronger.
type lister struct {
	base   *medium.Image
	log    []medium.Record
	o      Options
	blocks map[int64][]byte // what is on the disk for good, over base
	digest uint64           // of blocks against base
	seen   map[uint64]int   // digest of a content -> its index in states
	known  map[place]uint64 // digests of blocks
	states []State
	long   []window
	mark   string
}

type window struct {
	start  int
	writes []int
	mark   string
	digest uint64
	im     *medium.Image
}

// window lists the states between two flushes and answers where the next
// begins.
func (l *lister) window(start int) int {
	w := window{start: start}
	end := start
	for ; end < len(l.log) && l.log[end].Kind != medium.Flush; end++ {
		switch l.log[end].Kind {
		case medium.Write:
			w.writes = append(w.writes, end)
		case medium.Mark:
			l.mark = l.log[end].Mark
		}
	}
	w.mark, w.digest, w.im = l.mark, l.digest, l.base.With(l.blocks)
	l.add(w, nil, nil)
	if len(w.writes) <= l.o.All {
		l.subsets(w)
	} else {
		l.singles(w)
		w.im = l.base.With(clone(l.blocks)) // fill comes later
		l.long = append(l.long, w)
	}
	for i := range w.writes {
		l.tears(w, i)
	}
	l.settle(w)
	return end + 1
}

func (l *lister) subsets(w window) {
	for set := 1; set < 1<<len(w.writes); set++ {
		var some []int
		for i, r := range w.writes {
			if set>>i&1 == 1 {
				some = append(some, r)
			}
		}
		l.add(w, some, nil)
	}
}

func (l *lister) singles(w window) {
	for i := range w.writes {
		l.add(w, w.writes[:i+1], nil)
		l.add(w, w.writes[i:i+1], nil)
		l.add(w, append(append([]int{}, w.writes[:i]...), w.writes[i+1:]...), nil)
	}
}

// tears: of a short write every tear, of a long one those near its ends and in
// its middle; the beginning that was kept, or the end.
func (l *lister) tears(w window, i int) {
	r, s := w.writes[i], l.o.Sector
	size := len(l.log[r].Data)
	cuts := []int{s, size / 2 / s * s, (size - 1) / s * s}
	if size <= 8*s {
		cuts = nil
		for c := s; c < size; c += s {
			cuts = append(cuts, c)
		}
	}
	for _, c := range cuts {
		if c <= 0 || c >= size {
			continue
		}
		for _, t := range []Tear{{r, 0, c}, {r, c, size}} {
			l.add(w, w.writes[:i], &t)
			l.add(w, nil, &t)
		}
	}
}

// fill adds random subsets of the long windows, a longer one more often, one
// write in some of them torn.
func (l *lister) fill() {
	rng := rand.New(rand.NewPCG(l.o.Seed, 1))
	var lot []int
	for i, w := range l.long {
		for range w.writes {
			lot = append(lot, i)
		}
	}
	for tries := 0; len(lot) > 0 && len(l.states) < l.o.Want && tries < 20*l.o.Want; tries++ {
		w := l.long[lot[rng.IntN(len(lot))]]
		var some []int
		odds := rng.Float64()
		for _, r := range w.writes {
			if rng.Float64() < odds {
				some = append(some, r)
			}
		}
		l.add(w, some, l.tear(rng, w))
	}
}

func (l *lister) tear(rng *rand.Rand, w window) *Tear {
	r := w.writes[rng.IntN(len(w.writes))]
	sectors := (len(l.log[r].Data) - 1) / l.o.Sector
	if sectors < 1 || rng.IntN(2) == 0 {
		return nil
	}
	return &Tear{r, 0, (1 + rng.IntN(sectors)) * l.o.Sector}
}

// settle makes the window's writes last.
func (l *lister) settle(w window) {
	changed := map[int64][]byte{}
	under := l.base.With(l.blocks)
	State{Applied: w.writes}.patch(under, l.log, changed)
	l.digest ^= l.delta(under, changed)
	for n, b := range changed {
		l.blocks[n] = b
	}
}

func (l *lister) add(w window, applied []int, torn *Tear) {
	s := State{w.start, applied, torn, w.mark}
	changed := map[int64][]byte{}
	s.patch(w.im, l.log, changed)
	d := w.digest ^ l.delta(w.im, changed)
	if i, known := l.seen[d]; known {
		if w.start >= l.states[i].Flushed {
			l.states[i].Promise = w.mark
		}
		return
	}
	l.seen[d] = len(l.states)
	l.states = append(l.states, s)
}

// delta is what changed blocks do to the digest of a disk.
func (l *lister) delta(under *medium.Image, changed map[int64][]byte) (d uint64) {
	for n, b := range changed {
		d ^= l.digestOf(n, under.Block(n)) ^ l.digestOf(n, b)
	}
	return d
}

// digestOf remembers, because the same few blocks of the log are in most states.
func (l *lister) digestOf(n int64, block []byte) uint64 {
	if block == nil {
		return medium.Digest(n, nil)
	}
	k := place{n, &block[0]}
	d, known := l.known[k]
	if !known {
		d = medium.Digest(n, block)
		l.known[k] = d
	}
	return d
}

type place struct {
	n     int64
	block *byte
}

func clone(m map[int64][]byte) map[int64][]byte {
	c := make(map[int64][]byte, len(m))
	for n, b := range m {
		c[n] = b
	}
	return c
}
