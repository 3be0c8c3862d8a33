package harness

import "cmp"

// A Verdict is a goal held against the figures.
type Verdict struct {
	Goal
	State  State   `json:"state"`
	Ours   float64 `json:"ours,omitempty"`   // the goal's stat of the case that it is of
	Theirs float64 `json:"theirs,omitempty"` // and of the one that it is compared with
	Figure float64 `json:"figure,omitempty"` // what was compared with the bound
	Shown  string  `json:"shown"`            // figure and bound in words
	Why    string  `json:"why,omitempty"`    // of a goal that could not be compared
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
	v := Verdict{Goal: g}
	var why, peer string
	v.Ours, why = r.figure(g.Of, g.Stat)
	if g.To != "" {
		v.Theirs, peer = r.figure(g.To, g.Stat)
	}
	why = cmp.Or(why, peer)
	switch {
	case r.Rounds == 0:
		v.State, v.Why = NotRun, r.NotRun
	case why != "":
		v.State, v.Why = Missed, why
	case g.To != "" && (v.Theirs == 0 || g.Least > 0 && v.Ours == 0):
		v.State, v.Why = Missed, "no ratio to a figure of zero"
	default:
		v.compare(r.Unit)
	}
	return v
}

func (v *Verdict) compare(unit Unit) {
	met := false
	switch {
	case v.Least > 0:
		v.Figure = v.Theirs / v.Ours
		met = v.Figure >= v.Least
	case v.To == "":
		v.Figure = v.Ours
		met = v.Figure <= v.Most
	default:
		v.Figure = v.Ours / v.Theirs
		met = v.Figure <= v.Most
	}
	v.Shown = v.reached(unit) + ", " + v.bound(unit)
	if v.State = Missed; met {
		v.State = Met
	}
}

// reached says in words what was compared with the bound.
func (v Verdict) reached(unit Unit) string {
	if v.To == "" {
		return unit.Show(v.Figure)
	}
	return number(v.Figure) + " times"
}

// bound says in words what was asked for.
func (g Goal) bound(unit Unit) string {
	switch {
	case g.Least > 0:
		return "at least " + number(g.Least)
	case g.To == "":
		return "at most " + unit.Show(g.Most)
	default:
		return "at most " + number(g.Most)
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
