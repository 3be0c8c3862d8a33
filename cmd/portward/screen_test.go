package main

import (
	"slices"
	"strings"
	"testing"

	"portward/internal/jobs"
	"portward/internal/status"
)

// Rule: the table takes no more rows than the terminal has, each in one line,
// so that it can be taken off again.
func TestFit(t *testing.T) {
	for _, tc := range []struct {
		text          string
		width, height int
		want          []string
	}{
		{"a\nb\n", 80, 24, []string{"a", "b"}},
		{"abcdef\näöüß\n", 3, 24, []string{"abc", "äöü"}},
		{"a\nb\nc\nd\n", 80, 3, []string{"a", "b", "... 2 more lines"}},
		{"a\nb\nc\n", 80, 3, []string{"a", "b", "c"}},
	} {
		if got := fit(tc.text, tc.width, tc.height); !slices.Equal(got, tc.want) {
			t.Errorf("fit(%q, %d, %d) = %q, want %q", tc.text, tc.width, tc.height, got, tc.want)
		}
	}
}

// Rule: what people call a job finds it again.
func TestNicknames(t *testing.T) {
	for _, name := range []string{"netchild", "supervisor", "guiagent/1"} {
		if tg, err := target(name); err != nil || nickname(tg) != name {
			t.Errorf("%s is %s, which is %s: %v", name, tg, nickname(tg), err)
		}
	}
	if _, err := target("guiagent/"); err == nil {
		t.Error("an agent of nobody was found")
	}
	if got := nickname(jobs.Target("system/other")); got != "system/other" {
		t.Errorf("another's job is called %q", got)
	}
}

// Rule: the table keeps its columns whatever job there is, and tells what a gap
// alone would hide: how long it is open, and what a hang cost before it.
func TestTable(t *testing.T) {
	s := snapshot{
		Jobs:     []jobView{{Label: string(rescueTarget), State: "waiting"}, {Label: "system/dev.portward.unheard.of", State: "running"}},
		Sessions: []sessionView{{ID: "1", Broken: true, BrokenMS: 6004}, {ID: "2", Gaps: 2, LastGapMS: 11.14}},
		Hangs:    2, HangMS: 3000, Held: "5 fast deaths", Payload: status.Payload{State: status.NoPayload},
	}
	text := table(s)
	for _, want := range []string{
		"rescue ", "no gap, broken for 6s", "2 gaps, the last of 11.1 ms", "netchild hung 2 times: the pictures stood still for 3s at least",
		"netchild is held: 5 fast deaths", "no release yet",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	lines := strings.Split(text, "\n")
	if at := strings.Index(lines[0], "STATE"); strings.Index(lines[1], "waiting") != at || strings.Index(lines[2], "running") != at {
		t.Errorf("the columns are not straight:\n%s", text)
	}
}

// Rule: an address that is shown can be opened.
func TestReachable(t *testing.T) {
	if got := reachable("127.0.0.1:8443"); got != "127.0.0.1:8443" {
		t.Errorf("an address became %s", got)
	}
	if got := reachable("0.0.0.0:8443"); strings.HasPrefix(got, "0.") || !strings.HasSuffix(got, ":8443") {
		t.Errorf("all addresses became %s", got)
	}
}

// Rule: an up without a release ends with the reason.
func TestNoRelease(t *testing.T) {
	for want, p := range map[string]status.Payload{
		"offline":                        {Error: "offline", Phase: status.Checking},
		"1.0.0 failed here: crash":       {Denied: []status.Denied{{Version: "1.0.0", Why: "crash"}}},
		"1.0.0 waits: its turn":          {Deferred: &status.Deferred{Version: "1.0.0", Why: "its turn"}},
		"the end came in the phase down": {Phase: "down"},
		"the channel beta offers none":   {Channel: "beta", Phase: status.Idle},
	} {
		if err := noRelease(p); !strings.Contains(err.Error(), "no release was installed: "+want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
