package deadman

import (
	"os"
	"strings"
	"testing"
	"time"

	"portward/internal/page"
)

func BenchmarkBeat(b *testing.B) {
	p, err := page.New(Words)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	t, err := Arm(time.Hour, time.Hour, p)
	if err != nil {
		b.Fatal(err)
	}
	defer t.Disarm()
	for b.Loop() {
		t.Beat()
	}
}

// Rule: nothing is left behind, in the process (timers) or out of it.
func TestTimersAreGivenBack(t *testing.T) {
	count := func() int {
		text, err := os.ReadFile("/proc/self/timers")
		if err != nil {
			t.Skip("needs /proc/PID/timers: ", err)
		}
		return strings.Count(string(text), "ID:")
	}
	before := count()
	for range 100 {
		timer, err := Arm(time.Hour, time.Hour, nil)
		if err != nil {
			t.Fatal(err)
		}
		timer.Disarm()
	}
	if after := count(); after != before {
		t.Errorf("%d timers, were %d", after, before)
	}
}
