package main

import (
	"slices"
	"testing"

	"portward/internal/jobs"
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
