package bundle

import (
	"strings"
	"testing"
)

// Rule: versions are in the order of Semantic Versioning, a pre-release before
// its release, and what is no version before all that are.
func TestCompare(t *testing.T) {
	ordered := strings.Fields("1.02.0 devel-2 devel-3 v9.0.0 0.0.1-rc.1 0.0.1 0.2.0 0.10.0 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.2 1.0.0-alpha.10 1.0.0-beta 1.0.0 1.0.1 2.0.0-0 2.0.0 10.0.0")
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := Compare(a, b); got != want {
				t.Errorf("Compare(%q, %q) is %d, want %d", a, b, got, want)
			}
		}
	}
	for _, bad := range []string{"", "1..2", "01.2.3", "1.2.3.4", "v1.2.3", "latest", "1.2.3-"} {
		if Compare(bad, "0.0.0-0") != -1 || Compare("0.0.0-0", bad) != 1 || Compare(bad, bad) != 0 {
			t.Errorf("%q passes for a version", bad)
		}
	}
	if Compare("1.0.0+linux", "1.0.0+mac") != 0 {
		t.Error("build metadata counts")
	}
}
