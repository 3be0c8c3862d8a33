package xpcpeer

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Rule: who is turned away over and over costs so many lines in a spell, and one
// that counts the rest.
func TestLinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		l := lines{name: "door", log: func(f string, args ...any) { got = append(got, fmt.Sprintf(f, args...)) }}
		flood := func() {
			for range 1000 {
				l.printf("away")
			}
		}
		flood()
		if len(got) != linesPerSpell {
			t.Fatalf("%d lines", len(got))
		}
		time.Sleep(2 * spell)
		flood()
		if len(got) != 2*linesPerSpell+1 || got[linesPerSpell] != "door: 980 more were turned away" {
			t.Fatalf("%d lines, %q", len(got), got[linesPerSpell])
		}
	})
}
