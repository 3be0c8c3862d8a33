package hub

import (
	"slices"
	"testing"
)

// Rule: a session's screens follow it in their order, sessions go by their
// numbers, and the first screen has the session's own name.
func TestStreamIDs(t *testing.T) {
	want := []string{
		StreamID("1", 0), StreamID("1", 1), StreamID("1", 2), StreamID("1", 10),
		StreamID("2", 0), StreamID("10", 0), StreamID("10", 1), StreamID("c1", 0), StreamID("c1", 1),
	}
	if want[0] != "1" || want[1] != "1.1" || want[3] != "1.10" {
		t.Errorf("names %q", want)
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareIDs)
	if !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}
