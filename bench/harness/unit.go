package harness

import (
	"math"
	"strconv"
)

// A scale is a name for so many of a unit.
type scale struct {
	of   float64
	name string
}

// scales of a unit, the largest first.
func (u Unit) scales() []scale {
	switch u {
	case Seconds:
		return []scale{{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}}
	case Bytes:
		return []scale{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"}}
	default:
		return []scale{{1, string(u)}}
	}
}

// Show says a figure with three digits that count and its unit.
func (u Unit) Show(v float64) string {
	if v == 0 {
		return "0"
	}
	s := u.scale(v)
	if u == Rate || u == Ratio {
		return number(v) + s.name
	}
	return number(v/s.of) + " " + s.name
}

// scale answers the largest one of which v is at least one.
func (u Unit) scale(v float64) scale {
	all := u.scales()
	for _, s := range all {
		if math.Abs(v) >= s.of {
			return s
		}
	}
	return all[len(all)-1]
}

// number keeps three digits that count, all before the point, and of less than one two
// behind it, or that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.01:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
}
