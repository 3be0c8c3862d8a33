package hub

import (
	"cmp"
	"strconv"
	"strings"
)

// StreamID names the stream of one screen, counted from 0, of a session: "1" is
// the first screen of session 1, "1.1" the second.
func StreamID(session string, screen int) string {
	if screen == 0 {
		return session
	}
	return session + "." + strconv.Itoa(screen)
}

// compareIDs orders StreamIDs: "1", "1.1", "2", "10".
func compareIDs(a, b string) int {
	sessionA, screenA, _ := strings.Cut(a, ".")
	sessionB, screenB, _ := strings.Cut(b, ".")
	return cmp.Or(compareNumbers(sessionA, sessionB), compareNumbers(screenA, screenB))
}

// compareNumbers orders decimal numbers, and whatever else someone may call a
// session, by length first.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}
