package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"portward/proof/subject"
)

// errMount: the state cannot be mounted at all.
var errMount = errors.New("the file system itself did not survive")

// faults are what must not be found.
var faults = []struct {
	err  error
	name string
}{
	{subject.ErrMissing, "MISSING"}, {subject.ErrTorn, "TORN"}, {subject.ErrUntried, "UNTRIED"}, {subject.ErrStart, "NO-START"},
	{subject.ErrLost, "LOST"}, {subject.ErrStuck, "STUCK"}, {errMount, "UNMOUNTABLE"}, {nil, "ERROR"},
}

// A tally is what was found.
type tally struct {
	tried int
	found map[string]int // by what the next start found, or by the fault
	words []string       // the first few faults
}

// add counts one try; what says which it was.
func (t *tally) add(what fmt.Stringer, which string, err error) {
	t.tried++
	if err != nil {
		which = faultName(err)
		if len(t.words) < 5 {
			t.words = append(t.words, fmt.Sprintf("%s: %v: %v", which, what, err))
		}
	}
	t.found[which]++
}

func faultName(err error) string {
	for _, f := range faults {
		if f.err == nil || errors.Is(err, f.err) {
			return f.name
		}
	}
	return ""
}

func (t *tally) merge(u tally) {
	t.tried += u.tried
	for k, n := range u.found {
		t.found[k] += n
	}
	t.words = append(t.words, u.words...)
}

func (t tally) bad() int {
	n := 0
	for _, f := range faults {
		n += t.found[f.name]
	}
	return n
}

func (t tally) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(t.found)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, t.found[k]))
	}
	return strings.Join(parts, ", ")
}

// A report is one line of what is printed.
type report struct {
	where, what string
	listed      int
	tally       tally
	took        time.Duration
}

func (r report) String() string {
	return fmt.Sprintf("%-6s %-26s %5d of %5d %7.1f s  %v", r.where, r.what, r.tally.tried, r.listed, r.took.Seconds(), r.tally)
}
