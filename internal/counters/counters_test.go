package counters

import (
	"errors"
	"testing"
)

func open(t *testing.T) (writer, reader *Page) {
	t.Helper()
	w, err := New()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("needs shared pages")
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(w.File())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); r.Close() })
	return w, r
}

// Rule: a gap lasts from the broken connection to the next released frame, and
// breaking twice is still one gap.
func TestGap(t *testing.T) {
	w, r := open(t)
	w.Broken() // nothing streamed yet: no gap
	w.Released()
	if g := r.Read(); g.Frames != 1 || g.Gaps != 0 || g.Open != 0 {
		t.Fatalf("after the first frame: %+v", g)
	}
	w.Broken()
	w.Broken()
	before := r.Read()
	if before.Open <= 0 || before.Gaps != 0 {
		t.Fatalf("while broken: %+v", before)
	}
	w.Released()
	w.Released()
	g := r.Read()
	if g.Frames != 3 || g.Gaps != 1 || len(g.Latest) != 1 || g.Latest[0] < before.Open || g.Open != 0 {
		t.Fatalf("after the gap: %+v", g)
	}
}

// Rule: how long a gap has been open grows, whoever looks and however seldom, and
// what a liar writes makes no negative one.
func TestOpenGap(t *testing.T) {
	w, r := open(t)
	w.Released()
	w.Broken()
	first := r.Read().Open
	w.Broken()
	if later := w.Read().Open; first <= 0 || later < first {
		t.Errorf("open for %v, and later for %v", first, later)
	}
	for _, lie := range []uint64{1, uint64(now()) + 1<<40, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		w.p.Store(wordBroken, lie)
		if g := r.Read(); g.Open <= 0 {
			t.Errorf("broken at %d: open for %v", lie, g.Open)
		}
	}
}

// Rule: the page keeps the latest gaps and counts all.
func TestRing(t *testing.T) {
	w, r := open(t)
	w.Released()
	for range MaxGaps + 10 {
		w.Broken()
		w.Released()
	}
	if g := r.Read(); g.Gaps != MaxGaps+10 || len(g.Latest) != MaxGaps {
		t.Errorf("gaps %d, kept %d", g.Gaps, len(g.Latest))
	}
}
