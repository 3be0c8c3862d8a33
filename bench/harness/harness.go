// Package harness knows how samples of several contestants are taken in turn,
// summed up, held against goals and shown. It must never know what is measured.
//
// A Group is one kind of work, done by several Cases. Cases of a group take
// turns: round by round, each of them once, beginning with another one each
// time, so that whatever else the machine does falls on all of them alike.
// Goals compare two cases of one group and one run; a figure alone is printed
// and never judged, unless the goal names it.
package harness

import (
	"context"
	"time"
)

// A Group is one kind of work.
type Group struct {
	Name   string // "restart", as -only names it
	Title  string // one line for people
	Unit   Unit   // of all samples
	Rounds int    // how often each case has its turn
	Cases  []Case
	Goals  []Goal
	Plot   Plot   // how docs/benchmarks shows it; the zero value: bars of p50 with spread
	Notes  string // what a reader must know to read the figures rightly
}

// A Unit is what a sample is counted in; all but Rate are better when smaller.
type Unit string

// The units.
const (
	Seconds Unit = "s"  // shown as ns, us, ms or s
	Bytes   Unit = "B"  // shown as KiB, MiB
	Rate    Unit = "/s" // events a second
	Ratio   Unit = "x"  // a quotient, CPU seconds to seconds for one
)

// A Case is one contestant.
type Case struct {
	Name string  // "portward", "systemd 252", "floor in C"
	X    float64 // where the case lies on the axis of a Curve
	// Open prepares the case, once and before its first turn, and answers its turn:
	// samples, in the group's unit. A case that cannot take part on this machine
	// answers an error of Absent: it is shown with its reason, and a goal against
	// it is missed.
	Open func(ctx context.Context) (Turn, error)
}

// A Turn is an opened case.
type Turn struct {
	Sample func(ctx context.Context, round int) ([]float64, error)
	Close  func() error // may be nil
	// Version is of what is measured, as it says itself; "" for our own.
	Version string
}

// A Stat is what of a case's samples a goal compares.
type Stat string

// The stats.
const (
	P50 Stat = "p50"
	P95 Stat = "p95"
	Max Stat = "max"
)

// A Goal says how two cases of a group must compare.
type Goal struct {
	Of    string  `json:"of"`              // the name of a case
	To    string  `json:"to,omitempty"`    // another one's; "": the figure of Of itself is judged
	Stat  Stat    `json:"stat,omitempty"`  // P50 if empty
	Most  float64 `json:"most,omitempty"`  // Of/To (or Of) must be at most this; 0: not asked
	Least float64 `json:"least,omitempty"` // To/Of must be at least this ("so many times faster"); 0: not asked
	Text  string  `json:"text"`            // the goal in the words of people
}

// A Plot is how a group is drawn.
type Plot struct {
	Curve  bool // cases of one Series on a line over X, instead of bars
	XTitle string
	Log    bool // logarithmic axis of values
}

// Options say how groups are run.
type Options struct {
	Quick bool      // a third of the rounds, at least two, and no goal judged: to see that it works
	End   time.Time // no round begins later; what does not fit is reported as not run; zero: none
	Print func(format string, args ...any)
}

// Absent says why a case cannot take part on this machine. Case.Open answers it.
type Absent string

func (a Absent) Error() string { return "absent: " + string(a) }
