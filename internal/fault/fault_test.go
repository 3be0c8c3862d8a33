package fault

import (
	"os"
	"slices"
	"testing"
)

// Rule: every fault has a name, and the name finds it again.
func TestNames(t *testing.T) {
	for _, f := range []Fault{Crash, Deadlock, Livelock, Stop} {
		if g, err := Parse(f.String()); err != nil || g != f {
			t.Errorf("Parse(%q) = %v, %v", f, g, err)
		}
	}
	if _, err := Parse("explode"); err == nil {
		t.Error("an unknown fault was taken")
	}
}

// Rule: what is sent arrives in order; what is no fault does nothing; the end
// of the other side ends the watch.
func TestWatch(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, f := range []Fault{Stop, 'x', 0, Crash} {
		if err := f.Send(w); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	var got []Fault
	Watch(r, func(f Fault) { got = append(got, f) })
	if !slices.Equal(got, []Fault{Stop, Crash}) {
		t.Errorf("got %v", got)
	}
}

// Rule: a process that inherited no descriptor cannot be told to fail.
func TestNoDescriptor(t *testing.T) {
	Watch(nil, func(Fault) { t.Error("told to fail") })
}
