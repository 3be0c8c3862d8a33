package harness

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Table shows one group's result on a terminal. Ratios are of medians, to the group's
// first case that has figures.
func Table(r Result) string {
	var b strings.Builder
	if r.Rounds == 0 {
		return fmt.Sprintf("  not run: %s\n\n", r.NotRun)
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tp50\t+-\tp95\tmax\tn\tratio\t ")
	base := r.base()
	for _, c := range r.Cases {
		fmt.Fprintln(t, c.row(r.Unit, base))
	}
	t.Flush() // into memory
	for _, v := range r.Goals {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	if r.NotRun != "" {
		fmt.Fprintf(&b, "  not run: %s\n", r.NotRun)
	}
	fmt.Fprintf(&b, "  (%.0f s)\n\n", r.Seconds)
	return b.String()
}

// base answers the median that ratios are of.
func (r Result) base() float64 {
	for _, c := range r.Cases {
		if c.Summary.N > 0 && c.Summary.P50 > 0 {
			return c.Summary.P50
		}
	}
	return 0
}

func (c CaseResult) row(unit Unit, base float64) string {
	s := c.Summary
	if s.N == 0 {
		return fmt.Sprintf("%s\t-\t-\t-\t-\t0\t-\t  %s", c.Title(), c.Reason)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%d\t%s\t  %s", c.Title(), unit.Show(s.P50), unit.Show(s.MAD),
		unit.Show(s.P95), unit.Show(s.Max), s.N, ratio(s.P50, base), c.Reason)
}

func ratio(v, base float64) string {
	if base == 0 {
		return "-"
	}
	return number(v/base) + "x"
}

// Title is the case's name and, of a peer, its version.
func (c CaseResult) Title() string {
	if c.Version == "" {
		return c.Name
	}
	return c.Name + " " + c.Version
}

// String is the verdict in one line.
func (v Verdict) String() string {
	line := fmt.Sprintf("%s: %s", v.State, v.Text)
	if v.Shown != "" {
		line += " (" + v.Shown + ")"
	}
	if v.Why != "" {
		line += " (" + v.Why + ")"
	}
	return line
}
