package harness

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	s := Summarize([]float64{5, 1, 4, 2, 3})
	if want := (Summary{N: 5, Min: 1, P25: 2, P50: 3, P75: 4, P95: 4.8, Max: 5, MAD: 1}); math.Abs(s.P95-want.P95) > 1e-9 || s.N != want.N || s.P50 != want.P50 || s.MAD != want.MAD || s.P25 != want.P25 || s.P75 != want.P75 {
		t.Errorf("%+v, want %+v", s, want)
	}
	if s := Summarize(nil); s != (Summary{}) {
		t.Errorf("nothing: %+v", s)
	}
	if s := Summarize([]float64{7}); s.P50 != 7 || s.P95 != 7 || s.MAD != 0 {
		t.Errorf("one: %+v", s)
	}
}

func TestShow(t *testing.T) {
	for _, c := range []struct {
		unit Unit
		v    float64
		want string
	}{
		{Seconds, 0, "0"}, {Seconds, 1.5e-9, "1.50 ns"}, {Seconds, 0.000123, "123 us"}, {Seconds, 0.0123, "12.3 ms"},
		{Seconds, 72, "72.0 s"}, {Seconds, -0.002, "-2.00 ms"}, {Bytes, 512, "512 B"}, {Bytes, 12e6, "11.4 MiB"}, {Rate, 0.05, "0.05/s"}, {Rate, 0.9996, "1.00/s"}, {Ratio, 0.0012, "0.0012x"}, {Ratio, 1.25, "1.25x"},
	} {
		if got := c.unit.Show(c.v); got != c.want {
			t.Errorf("%v %v: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

// odd are results that are hard to draw.
func odd() []Result {
	sum := func(v ...float64) Summary { return Summarize(v) }
	return []Result{
		{Name: "zeros", Unit: Rate, Rounds: 1, Cases: []CaseResult{{Name: "a", Summary: sum(0)}, {Name: "b", Summary: sum(1)}}, Plot: Plot{Log: true}},
		{Name: "negative", Unit: Seconds, Rounds: 1, Cases: []CaseResult{{Name: "a", Summary: sum(1)}, {Name: "early", Summary: sum(-1, -0.5)}}},
		{Name: "one", Unit: Seconds, Rounds: 1, Cases: []CaseResult{{Name: "<&a>", Summary: sum(1)}}, Plot: Plot{Log: true}},
		{Name: "gap", Unit: Seconds, Rounds: 1, Cases: []CaseResult{{Name: "a", Absent: true, Reason: "x|y\nz"}, {Name: "b", Summary: sum(1, 2)}}},
		{Name: "curve", Unit: Seconds, Rounds: 1, Plot: Plot{Curve: true, XTitle: "agents"}, Cases: []CaseResult{
			{Name: "a, 1", X: 1, Summary: sum(1, 2)}, {Name: "a, 50", X: 50, Summary: sum(3)}, {Name: "b, 1", X: 1, Summary: sum(9)}, {Name: "b, 50", X: 50},
		}},
		{Name: "point", Unit: Seconds, Rounds: 1, Plot: Plot{Curve: true}, Cases: []CaseResult{{Name: "a", Summary: sum(1)}}},
		{Name: "nothing", Unit: Seconds, NotRun: "no time", Cases: []CaseResult{{Name: "a", Reason: "not run"}}, Goals: []Verdict{{Goal: Goal{Of: "a", Most: 1, Text: "g"}, State: NotRun}}},
	}
}

// Rule: every picture is well-formed and every place in it finite, whatever the figures.
func TestSVG(t *testing.T) {
	for _, r := range odd() {
		svg := SVG(r)
		if r.NotRun != "" {
			if svg != "" {
				t.Errorf("%s: a picture of nothing", r.Name)
			}
			continue
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s: a place that is none:\n%s", r.Name, svg)
		}
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", r.Name, err, svg)
			}
		}
	}
}

// Rule: a report is JSON that reads back, a README with every goal, and a picture of
// each group with figures; a text cannot break out of its table.
func TestReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	r := Report{Machine: Machine{CPU: "a machine", Command: "bench"}, Results: odd()}
	if err := r.Write(dir, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil || len(back.Results) != len(r.Results) {
		t.Fatalf("%v, %d results", err, len(back.Results))
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a machine", "| g |", "not run", "x\\|y z"} {
		if !strings.Contains(string(readme), want) {
			t.Errorf("no %q in\n%s", want, readme)
		}
	}
	for _, g := range r.Results {
		if _, err := os.Stat(filepath.Join(dir, g.Name+".svg")); (err == nil) != (g.NotRun == "") {
			t.Errorf("%s: picture: %v", g.Name, err)
		}
		if Table(g) == "" {
			t.Errorf("%s: no table", g.Name)
		}
	}
	if !r.Missed() {
		t.Error("a goal that was not run counts as met")
	}
}

// judged are results with goals of every kind.
func judged() Report {
	second := func(name string, v float64) CaseResult {
		return CaseResult{Name: name, Summary: Summarize([]float64{v})}
	}
	a := Result{Name: "a", Title: "crash", Unit: Seconds, Rounds: 1, Cases: []CaseResult{second("portward", 0.002), second("floor in C", 0.001), second("peer", 1)}}
	a.Goals = judge([]Goal{
		{Of: "portward", To: "floor in C", Most: 1.5, Text: "near"}, {Of: "portward", To: "peer", Least: 10, Text: "far"},
		{Of: "portward", To: "gone|", Least: 10, Text: "nobody"},
	}, a)
	b := Result{Name: "b", Title: "idle", Unit: Rate, Rounds: 1, Cases: []CaseResult{second("portward, alone", 0)}}
	b.Goals = judge([]Goal{{Of: "portward, alone", Stat: P95, Most: 0.2, Text: "calm"}}, b)
	c := Result{Name: "c", Title: "late", Unit: Seconds, NotRun: "no time", Cases: []CaseResult{{Name: "portward", Reason: "not run"}}}
	c.Goals = judge([]Goal{{Of: "portward", To: "peer", Most: 1, Text: "never"}}, c)
	return Report{Results: []Result{a, b, c}}
}

// Rule: the summary has a row for every goal: what, ours, against, ratio, goal, and
// how it came out. A goal that could not be compared has no ratio and says why.
func TestSummary(t *testing.T) {
	got := string(judged().summary())
	for _, row := range []string{
		"| crash | 2.00 ms | floor in C 1.00 ms | 2.00 times | at most 1.50 times | missed |",
		"| crash | 2.00 ms | peer 1.00 s | 500 times | at least 10.0 times faster | met |",
		"| crash | 2.00 ms | gone\\| |  | at least 10.0 times faster | missed: gone\\|: no such case |",
		"| idle (alone) | 0 (p95) |  |  | at most 0.20/s | met |",
		"| late |  | peer |  | at most 1.00 times | not run: no time |",
	} {
		if !strings.Contains(got, row+"\n") {
			t.Errorf("no row\n%s\nin\n%s", row, got)
		}
	}
	if strings.Contains(got, "](") {
		t.Errorf("a link, which leads nowhere from another file:\n%s", got)
	}
}

// Rule: what is written on why goals are missed follows the table of a group that
// missed one, with those goals, and no other group's.
func TestWhyMissed(t *testing.T) {
	dir, why := t.TempDir(), t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(why, name+".md"), []byte("\nBecause of "+name+".\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := judged().Write(dir, why); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "## a\n")
	section, _, _ := strings.Cut(after, "\n## ")
	_, got, _ := strings.Cut(section, "### Why it is missed\n\n")
	if want := "- missed: near (2.00 times, at most 1.50)\n- missed: nobody (gone|: no such case)\n\nBecause of a.\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if n := strings.Count(string(text), "Why it is missed"); n != 1 || strings.Contains(string(text), "Because of b") {
		t.Errorf("%d groups say why:\n%s", n, text)
	}
	if summary, err := os.ReadFile(filepath.Join(dir, "summary.md")); err != nil || string(summary) != string(judged().summary()) {
		t.Errorf("summary.md: %v\n%s", err, summary)
	}
}

// Rule: a load of more than half a CPU for each is warned of, in the report too; none
// is not.
func TestLoad(t *testing.T) {
	for load, busy := range map[Load]bool{"": false, "nonsense": false, "1.00 9.00 9.00 1/2 3": false, "1.01 0.00 0.00 1/2 3": true} {
		if got := load.busy(2); (got != "") != busy {
			t.Errorf("%q: %q", load, got)
		}
	}
	r := Report{Machine: Machine{Load: "100000.00 0.00 0.00 1/2 3"}}
	if text := string(r.markdown(t.TempDir())); !strings.Contains(text, "do not trust") {
		t.Errorf("no warning in\n%s", text)
	}
}

// Rule: nothing is installed that was not wanted, and it is said what is missing.
func TestNothingIsInstalledUnasked(t *testing.T) {
	var said strings.Builder
	print := func(format string, args ...any) { fmt.Fprintf(&said, format, args...) }
	if err := Install(t.Context(), []string{"no-such-package-at-all"}, false, print); err != nil {
		t.Fatal(err)
	}
	if want := "not installed (-install=false): no-such-package-at-all\n"; !strings.HasPrefix(said.String(), want) {
		t.Errorf("said %q, want %q", said.String(), want)
	}
}

// Rule: without gcc a floor is absent; it has not failed.
func TestNoCompiler(t *testing.T) {
	env, err := NewEnv(quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	t.Setenv("PATH", t.TempDir())
	var absent Absent
	if _, err := env.Floor("child"); !errors.As(err, &absent) {
		t.Errorf("without gcc: %v", err)
	}
}

// Rule: an environment shares what it builds, and says what a build said.
func TestEnv(t *testing.T) {
	env, err := NewEnv(quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	first, err := env.Floor("no-such-source")
	if err == nil {
		t.Fatalf("a floor without a source: %s", first)
	}
	if _, again := env.Floor("no-such-source"); again != err {
		t.Errorf("asked again: %v, was %v", again, err)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(env.Work); err == nil {
		t.Errorf("%s is left", env.Work)
	}
}
