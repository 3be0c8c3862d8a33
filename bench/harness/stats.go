package harness

import (
	"math"
	"slices"
)

// A Summary is what is kept of a case's samples.
type Summary struct {
	N   int     `json:"n"`
	Min float64 `json:"min"`
	P25 float64 `json:"p25"`
	P50 float64 `json:"p50"`
	P75 float64 `json:"p75"`
	P95 float64 `json:"p95"`
	Max float64 `json:"max"`
	MAD float64 `json:"mad"` // median absolute deviation from the median: the spread that is shown
}

// Summarize sums samples up. No samples are the zero summary.
func Summarize(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	s := slices.Sorted(slices.Values(samples))
	mid := quantile(s, 0.5)
	return Summary{
		N: len(s), Min: s[0], P25: quantile(s, 0.25), P50: mid, P75: quantile(s, 0.75),
		P95: quantile(s, 0.95), Max: s[len(s)-1], MAD: deviation(s, mid),
	}
}

// Of answers one stat.
func (s Summary) Of(stat Stat) float64 {
	switch stat {
	case P95:
		return s.P95
	case Max:
		return s.Max
	default:
		return s.P50
	}
}

// quantile reads between the two nearest of sorted samples.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

func deviation(samples []float64, mid float64) float64 {
	away := make([]float64, len(samples))
	for i, v := range samples {
		away[i] = math.Abs(v - mid)
	}
	slices.Sort(away)
	return quantile(away, 0.5)
}
