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
	if g := r.Read(); g.Frames != 1 || g.Gaps != 0 || g.Open {
		t.Fatalf("after the first frame: %+v", g)
	}
	w.Broken()
	w.Broken()
	if g := r.Read(); !g.Open || g.Gaps != 0 {
		t.Fatalf("while broken: %+v", g)
	}
	w.Released()
	w.Released()
	g := r.Read()
	if g.Frames != 3 || g.Gaps != 1 || len(g.Latest) != 1 || g.Latest[0] <= 0 || g.Open {
		t.Fatalf("after the gap: %+v", g)
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
