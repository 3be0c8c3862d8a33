package harness

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tooFew is said in place of all verdicts.
const tooFew = "quick: too few samples to judge goals"

// Missed tells whether a goal of the run was not met.
func (r Report) Missed() bool {
	for _, g := range r.Results {
		for _, v := range g.Goals {
			if v.State != Met {
				return true
			}
		}
	}
	return false
}

// Failures says what did not work: a case that died or answered an error, a group that
// was not run, or not to its end. A case that is absent has not failed.
func (r Report) Failures() []string {
	var all []string
	for _, g := range r.Results {
		if g.NotRun != "" {
			all = append(all, fmt.Sprintf("%s: not run: %s", g.Name, g.NotRun))
		}
		for _, c := range g.Cases {
			if c.Reason != "" && !c.Absent && g.Rounds > 0 {
				reason, _, _ := strings.Cut(c.Reason, "\n")
				all = append(all, fmt.Sprintf("%s: %s failed: %s", g.Name, c.Name, reason))
			}
		}
	}
	return all
}

// Summary is every goal and every failure in a line, for a terminal.
func (r Report) Summary() string {
	var b strings.Builder
	for _, g := range r.Results {
		for _, v := range g.Goals {
			fmt.Fprintf(&b, "%s: %s\n", g.Name, v)
		}
	}
	for _, f := range r.Failures() {
		fmt.Fprintln(&b, f)
	}
	if r.Quick {
		fmt.Fprintln(&b, tooFew)
	}
	fmt.Fprintf(&b, "%.0f s\n", r.Seconds)
	return b.String()
}

// summary is every goal in a row, to be shown elsewhere: it has no links, which would
// lead nowhere from there.
func (r Report) summary() []byte {
	if r.Quick {
		return []byte(tooFew + "\n")
	}
	var b bytes.Buffer
	b.WriteString("| what | ours p50 | against | ratio | goal | |\n|---|--:|---|--:|---|---|\n")
	for _, g := range r.Results {
		for _, v := range g.Goals {
			v.row(&b, g)
		}
	}
	fmt.Fprintf(&b, "\nOne run of %s on %d x %s; Portward %s.\n", r.Machine.Time.Format("2006-01-02"), r.Machine.CPUs, r.Machine.CPU, r.Machine.Portward)
	return b.Bytes()
}

func (v Verdict) row(b *bytes.Buffer, g Result) {
	what, times, goal := g.Title, "", v.bound(g.Unit)
	if v.Of != "portward" {
		what += " (" + strings.TrimPrefix(v.Of, "portward, ") + ")"
	}
	if v.To != "" {
		goal += " times"
	}
	if v.To != "" && v.compared() {
		times = v.reached(g.Unit)
	}
	if v.Least > 0 {
		goal += " faster"
	}
	against := strings.TrimSpace(v.To + " " + v.shown(g.Unit, v.Theirs, v.To != ""))
	came := strings.TrimSuffix(string(v.State)+": "+v.Why, ": ")
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", cell(what), v.shown(g.Unit, v.Ours, true), cell(against), times, goal, cell(came))
}

func (v Verdict) compared() bool { return v.State != NotRun && v.Why == "" }

// shown says a case's figure, and which stat it is unless it is the median. A figure
// that there is not is not shown.
func (v Verdict) shown(unit Unit, figure float64, there bool) string {
	switch {
	case !there || !v.compared() && figure == 0:
		return ""
	case cmp.Or(v.Stat, P50) != P50:
		return unit.Show(figure) + " (" + string(v.Stat) + ")"
	default:
		return unit.Show(figure)
	}
}

// whyMissed appends what people have written on why goals of the group are missed.
func (r Result) whyMissed(b *bytes.Buffer, dir string) {
	var missed []string
	for _, v := range r.Goals {
		if v.State == Missed {
			missed = append(missed, "- "+v.String())
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, r.Name+".md"))
	if len(missed) == 0 || err != nil {
		return
	}
	fmt.Fprintf(b, "### Why it is missed\n\n%s\n\n%s\n\n", strings.Join(missed, "\n"), strings.TrimSpace(string(text)))
}
