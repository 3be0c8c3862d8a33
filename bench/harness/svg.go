package harness

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"strings"
)

// The measures and colours of a picture. Both readings, by day and by night, see the
// same picture: it brings its own ground.
const (
	plotWidth  = 760
	nameWidth  = 215
	valueWidth = 110
	barHeight  = 22
	barGap     = 8
	headHeight = 44

	ground  = "#ffffff"
	ink     = "#1f2328"
	faint   = "#d0d7de"
	ours    = "#0969da"
	others  = "#8c959f"
	spreads = "#cf222e"
)

// SVG draws the result: bars of p50 with p25 to p75 and p95, or curves. It is "" when
// there is nothing to draw.
func SVG(r Result) string {
	if r.base() == 0 {
		return ""
	}
	if r.Plot.Curve {
		return curves(r)
	}
	return bars(r)
}

// A picture is an SVG that is being written.
type picture struct {
	strings.Builder
	width, height int
}

func newPicture(width, height int, title string) *picture {
	p := &picture{width: width, height: height}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(p, `<rect width="%d" height="%d" fill="%s"/>`+"\n", width, height, ground)
	p.text(12, 20, "start", "bold", title)
	return p
}

func (p *picture) text(x, y float64, anchor, weight, text string) {
	fmt.Fprintf(p, `<text x="%.1f" y="%.1f" text-anchor="%s" font-weight="%s" fill="%s">%s</text>`+"\n",
		x, y, anchor, weight, ink, html.EscapeString(text))
}

func (p *picture) rect(x, y, w, h float64, fill string) {
	fmt.Fprintf(p, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, math.Max(w, 0.5), h, fill)
}

func (p *picture) line(x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(p, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, stroke)
}

func (p *picture) end() string {
	p.WriteString("</svg>\n")
	return p.String()
}

// An axis maps figures to places.
type axis struct {
	from, to float64 // figures
	at, size float64 // places; size may be negative
	log      bool
	unit     float64 // what round figures are round in; 0: one
}

func (a axis) place(v float64) float64 {
	from, to := a.from, a.to
	if a.log {
		from, to, v = math.Log10(from), math.Log10(to), math.Log10(math.Max(v, a.from))
	}
	if to == from {
		return a.at
	}
	return a.at + a.size*(v-from)/(to-from)
}

// ticks answers the figures to be marked: the powers of ten of a logarithmic axis, or
// about four round ones.
func (a axis) ticks() []float64 {
	var all []float64
	if a.log {
		for v := a.from; v <= a.to*1.001; v *= 10 {
			all = append(all, v)
		}
		return all
	}
	unit := cmp.Or(a.unit, 1)
	for v := a.from; v <= a.to; v += unit * step((a.to-a.from)/4/unit) {
		all = append(all, v)
	}
	return all
}

// step rounds up to 1, 2 or 5 times a power of ten.
func step(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power {
			return m * power
		}
	}
	return 10 * power
}

// span answers the axis for figures from low to high; it begins at zero unless it is
// logarithmic.
func span(low, high float64, log bool) axis {
	if !log {
		return axis{from: 0, to: high}
	}
	from, to := math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	if from == to {
		to *= 10
	}
	return axis{from: from, to: to, log: true}
}
