package harness

import "fmt"

// A Verdict is a goal held against the figures.
type Verdict struct {
	Text   string  `json:"text"`
	State  State   `json:"state"`
	Figure float64 `json:"figure,omitempty"` // what was compared with the bound
	Bound  float64 `json:"bound"`
	Shown  string  `json:"shown"`         // figure and bound in words
	Why    string  `json:"why,omitempty"` // of a goal that could not be compared
}

// A State is how a goal came out.
type State string

// The states.
const (
	Met    State = "met"
	Missed State = "missed"
	NotRun State = "not run"
)

func judge(goals []Goal, r Result) []Verdict {
	all := make([]Verdict, len(goals))
	for i, g := range goals {
		all[i] = g.judge(r)
	}
	return all
}

// judge never finds a goal met that it could not compare: a contestant that is absent
// or failed is a goal missed, a group that was not run a goal not run.
func (g Goal) judge(r Result) Verdict {
	v := Verdict{Text: g.Text, Bound: g.Most + g.Least}
	of, why := r.figure(g.Of, g.Stat)
	to := 1.0
	if g.To != "" && why == "" {
		to, why = r.figure(g.To, g.Stat)
	}
	switch {
	case r.Rounds == 0:
		v.State, v.Why = NotRun, r.NotRun
	case why != "":
		v.State, v.Why = Missed, why
	default:
		g.compare(&v, r.Unit, of, to)
	}
	return v
}

func (g Goal) compare(v *Verdict, unit Unit, of, to float64) {
	met := false
	switch {
	case g.Least > 0:
		v.Figure = to / of
		met = v.Figure >= g.Least
		v.Shown = fmt.Sprintf("%s times, at least %s", number(v.Figure), number(g.Least))
	case g.To == "":
		v.Figure = of
		met = of <= g.Most
		v.Shown = fmt.Sprintf("%s, at most %s", unit.Show(of), unit.Show(g.Most))
	default:
		v.Figure = of / to
		met = v.Figure <= g.Most
		v.Shown = fmt.Sprintf("%s times, at most %s", number(v.Figure), number(g.Most))
	}
	if v.State = Missed; met {
		v.State = Met
	}
}

// figure answers a case's stat, or why there is none.
func (r Result) figure(name string, stat Stat) (float64, string) {
	for _, c := range r.Cases {
		switch {
		case c.Name != name:
		case c.Reason != "":
			return 0, name + ": " + c.Reason
		case c.Summary.N == 0:
			return 0, name + ": no samples"
		default:
			return c.Summary.Of(stat), ""
		}
	}
	return 0, name + ": no such case"
}
