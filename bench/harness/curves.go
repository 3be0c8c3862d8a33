package harness

import (
	"fmt"
	"math"
	"strings"
)

const curveHeight = 320

// curves draws p50 over X, a line for each series. Cases are of one series when their
// names agree up to the first comma: "portward, 10 agents".
func curves(r Result) string {
	p := newPicture(plotWidth, curveHeight, r.Name+": "+r.Title+" (p50, line: p25 to p95)")
	x, y := r.across(), r.values()
	x.at, x.size = 80, plotWidth-80-valueWidth-30
	y.at, y.size = curveHeight-50, -(curveHeight - 50 - headHeight)
	p.grid(r, x, y)
	for i, name := range r.series() {
		p.curve(r.of(name), x, y, palette(i))
	}
	return p.end()
}

func palette(i int) string {
	all := []string{ours, "#bc4c00", others, "#1a7f37", "#8250df", "#bf3989"}
	return all[i%len(all)]
}

func (p *picture) grid(r Result, x, y axis) {
	for _, v := range y.ticks() {
		at := y.place(v)
		p.line(x.at, at, x.at+x.size, at, faint)
		p.text(x.at-6, at+4, "end", "normal", r.Unit.Show(v))
	}
	for _, v := range r.marks() {
		p.text(x.place(v), y.at+18, "middle", "normal", number(v))
	}
	p.text(x.at+x.size/2, y.at+38, "middle", "normal", r.Plot.XTitle)
}

// curve draws one series and names it at its end.
func (p *picture) curve(cases []CaseResult, x, y axis, stroke string) {
	var path strings.Builder
	for i, c := range cases {
		at, mid := x.place(c.X), y.place(c.Summary.P50)
		fmt.Fprintf(&path, "%s%.1f %.1f ", [2]string{"L", "M"}[b2i(i == 0)], at, mid)
		p.line(at, y.place(c.Summary.P25), at, y.place(c.Summary.P95), stroke)
		fmt.Fprintf(p, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", at, mid, stroke)
	}
	fmt.Fprintf(p, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.TrimSpace(path.String()), stroke)
	last := cases[len(cases)-1]
	p.text(x.place(last.X)+8, y.place(last.Summary.P50)+4, "start", "normal", seriesOf(last.Name))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func seriesOf(name string) string {
	series, _, _ := strings.Cut(name, ",")
	return series
}

// series answers the names of those that have figures, in their order.
func (r Result) series() []string {
	var all []string
	seen := map[string]bool{}
	for _, c := range r.Cases {
		if name := seriesOf(c.Name); c.Summary.N > 0 && !seen[name] {
			seen[name] = true
			all = append(all, name)
		}
	}
	return all
}

// of answers the cases of a series that have figures.
func (r Result) of(series string) []CaseResult {
	var all []CaseResult
	for _, c := range r.Cases {
		if c.Summary.N > 0 && seriesOf(c.Name) == series {
			all = append(all, c)
		}
	}
	return all
}

// across answers the axis of X, logarithmic when it spans more than a factor of 20.
func (r Result) across() axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range r.marks() {
		low, high = math.Min(low, v), math.Max(high, v)
	}
	return axis{from: low, to: high, log: low > 0 && high/low > 20}
}

// marks answers every X once.
func (r Result) marks() []float64 {
	var all []float64
	seen := map[float64]bool{}
	for _, c := range r.Cases {
		if c.Summary.N > 0 && !seen[c.X] {
			seen[c.X] = true
			all = append(all, c.X)
		}
	}
	return all
}
