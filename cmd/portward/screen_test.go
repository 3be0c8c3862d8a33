package main

import "testing"

// Rule: the table is taken off the terminal whole, whatever its width.
func TestRows(t *testing.T) {
	for _, tc := range []struct {
		text  string
		width int
		want  int
	}{
		{"", 80, 0}, {"a\n", 80, 1}, {"a\nb\n", 0, 2}, {"abcd\n", 4, 1}, {"abcde\n", 4, 2}, {"abcdefgh\nx\n", 4, 3}, {"äöüß\n", 4, 1},
	} {
		if got := rows(tc.text, tc.width); got != tc.want {
			t.Errorf("rows(%q, %d) = %d, want %d", tc.text, tc.width, got, tc.want)
		}
	}
}
