package harness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Report is a whole run.
type Report struct {
	Machine Machine  `json:"machine"`
	Quick   bool     `json:"quick,omitempty"` // too few samples to judge goals
	Seconds float64  `json:"seconds"`
	Results []Result `json:"results"`
}

// Write writes results.json, a picture for each group, README.md and summary.md into
// dir. A run of some groups replaces theirs and keeps the pictures of others; the
// tables and the JSON are always of one run. Why the goals of a group are missed is
// read from GROUP.md in the directory why, where there is one.
func (r Report) Write(dir, why string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	errs := []error{
		os.WriteFile(filepath.Join(dir, "results.json"), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "README.md"), r.markdown(why), 0o644),
		os.WriteFile(filepath.Join(dir, "summary.md"), r.summary(), 0o644),
	}
	for _, g := range r.Results {
		if svg := SVG(g); svg != "" {
			errs = append(errs, os.WriteFile(filepath.Join(dir, g.Name+".svg"), []byte(svg), 0o644))
		}
	}
	return errors.Join(errs...)
}

func (r Report) markdown(why string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `%s`; do not edit. One run, %.0f s, of everything on one machine: "+
		"goals are ratios of figures of this run.\n\n"+
		"p50 and p95 are quantiles of the n samples, +- is the median of their distances from p50, ratio is p50 "+
		"to that of a table's first row with figures. The cases of a group take turns, round by round.\n\n", r.Machine.Command, r.Seconds)
	r.Machine.markdown(&b)
	r.goals(&b)
	for _, g := range r.Results {
		g.markdown(&b)
		g.whyMissed(&b, why)
	}
	return b.Bytes()
}

func (m Machine) markdown(b *bytes.Buffer) {
	for _, fact := range [][2]string{
		{"Date", m.Time.Format("2006-01-02 15:04 MST")}, {"Machine", fmt.Sprintf("%d x %s, %s", m.CPUs, m.CPU, m.Memory)},
		{"System", m.System + ", " + m.Kernel}, {"Built with", m.Go + ", gcc " + m.GCC},
		{"Portward", m.Portward}, {"Load before", strings.TrimSuffix(string(m.Load)+", "+m.Load.Busy(), ", ")},
	} {
		fmt.Fprintf(b, "- %s: %s\n", fact[0], fact[1])
	}
	b.WriteByte('\n')
}

// goals is the summary: every goal of the run in one table.
func (r Report) goals(b *bytes.Buffer) {
	b.WriteString("## Goals\n\n")
	if r.Quick {
		fmt.Fprintf(b, "%s\n\n", tooFew)
		return
	}
	b.WriteString("| group | goal | figure | |\n|---|---|---|---|\n")
	for _, g := range r.Results {
		for _, v := range g.Goals {
			shown := strings.TrimPrefix(v.Shown+"; "+v.Why, "; ")
			fmt.Fprintf(b, "| [%s](#%s) | %s | %s | %s |\n", g.Name, g.Name, cell(v.Text), cell(strings.TrimSuffix(shown, "; ")), v.State)
		}
	}
	b.WriteByte('\n')
}

func (r Result) markdown(b *bytes.Buffer) {
	fmt.Fprintf(b, "## %s\n\n%s.\n\n", r.Name, r.Title)
	if r.base() != 0 {
		fmt.Fprintf(b, "![%s](%s.svg)\n\n", r.Title, r.Name)
	}
	if r.Rounds > 0 {
		r.rows(b)
	}
	if r.NotRun != "" {
		fmt.Fprintf(b, "Not run: %s.\n\n", r.NotRun)
	}
	if r.Notes != "" {
		fmt.Fprintf(b, "%s\n\n", r.Notes)
	}
}

func (r Result) rows(b *bytes.Buffer) {
	b.WriteString("| | p50 | +- | p95 | max | n | ratio | |\n|---|--:|--:|--:|--:|--:|--:|---|\n")
	for _, c := range r.Cases {
		c.markdown(b, r.Unit, r.base())
	}
	b.WriteByte('\n')
}

func (c CaseResult) markdown(b *bytes.Buffer, unit Unit, base float64) {
	s, reason := c.Summary, c.Reason
	if c.Absent {
		reason = "absent: " + reason
	}
	if s.N == 0 {
		fmt.Fprintf(b, "| %s | | | | | 0 | | %s |\n", cell(c.Title()), cell(reason))
		return
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %d | %s | %s |\n", cell(c.Title()), unit.Show(s.P50), unit.Show(s.MAD),
		unit.Show(s.P95), unit.Show(s.Max), s.N, ratio(s.P50, base), cell(reason))
}

// cell keeps a text from breaking its table.
func cell(text string) string {
	return strings.NewReplacer("\n", " ", "|", "\\|").Replace(text)
}
