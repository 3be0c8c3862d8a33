package harness

import "math"

// bars draws one bar of p50 for each case. A thin line shows p25 to p95.
func bars(r Result) string {
	height := headHeight + len(r.Cases)*(barHeight+barGap) + 26
	p := newPicture(plotWidth, height, r.Name+": "+r.Title+" (p50, line: p25 to p95)")
	a := r.values()
	a.at, a.size = nameWidth, plotWidth-nameWidth-valueWidth
	bottom := float64(height - 26)
	for _, v := range a.ticks() {
		x := a.place(v)
		p.line(x, headHeight-8, x, bottom, faint)
		p.text(x, bottom+16, "middle", "normal", r.Unit.Show(v))
	}
	for i, c := range r.Cases {
		p.bar(a, r.Unit, c, float64(headHeight+i*(barHeight+barGap)), colour(r, c))
	}
	return p.end()
}

// colour tells ours, the series of the first case, from the others.
func colour(r Result, c CaseResult) string {
	if seriesOf(c.Name) == seriesOf(r.Cases[0].Name) {
		return ours
	}
	return others
}

func (p *picture) bar(a axis, unit Unit, c CaseResult, y float64, fill string) {
	middle := y + barHeight/2
	p.text(nameWidth-8, middle+4, "end", "normal", c.Title())
	s := c.Summary
	if s.N == 0 {
		p.text(nameWidth+4, middle+4, "start", "normal", short(c))
		return
	}
	p.rect(a.at, y, a.place(s.P50)-a.at, barHeight, fill)
	p.line(a.place(s.P25), middle, a.place(s.P95), middle, spreads)
	p.text(math.Max(a.place(s.P50), a.place(s.P95))+6, middle+4, "start", "normal", unit.Show(s.P50))
}

func short(c CaseResult) string {
	if c.Absent {
		return "absent"
	}
	return "no figure"
}

// values answers the axis that all figures of p25 to p95 lie on. Figures of zero are
// left out of a logarithmic one.
func (r Result) values() axis {
	low, high := math.Inf(1), 0.0
	for _, c := range r.Cases {
		if c.Summary.N == 0 {
			continue
		}
		high = math.Max(high, c.Summary.P95)
		if c.Summary.P25 > 0 {
			low = math.Min(low, c.Summary.P25)
		}
	}
	a := span(math.Min(low, high), high, r.Plot.Log)
	a.unit = r.Unit.scale(high).of
	return a
}
