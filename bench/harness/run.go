package harness

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// turnLimit is how long one turn may take; a case that needs longer has failed.
const turnLimit = 2 * time.Minute

// A Result is what a group's run came to.
type Result struct {
	Name    string       `json:"name"`
	Title   string       `json:"title"`
	Unit    Unit         `json:"unit"`
	Notes   string       `json:"notes,omitempty"`
	Rounds  int          `json:"rounds"`           // that were run
	NotRun  string       `json:"notRun,omitempty"` // why there are no figures, or fewer rounds than wanted
	Seconds float64      `json:"seconds"`          // what the group took
	Cases   []CaseResult `json:"cases"`
	Goals   []Verdict    `json:"goals,omitempty"` // none of a quick run

	Plot Plot `json:"-"`
}

// A CaseResult is what one case came to.
type CaseResult struct {
	Name    string  `json:"name"`
	Version string  `json:"version,omitempty"`
	X       float64 `json:"x,omitempty"`
	Reason  string  `json:"reason,omitempty"` // why it has no figures, or no more of them
	Absent  bool    `json:"absent,omitempty"` // it cannot take part on this machine
	Summary Summary `json:"summary"`
}

// Run runs the groups, one after the other, and answers what they came to, those that
// did not fit before the end too. It stops early only when ctx ends.
func Run(ctx context.Context, groups []Group, o Options) ([]Result, error) {
	results := make([]Result, 0, len(groups))
	for _, g := range groups {
		if ctx.Err() != nil {
			return results, context.Cause(ctx)
		}
		r := runGroup(ctx, g, o)
		o.Print("%s", Table(r))
		results = append(results, r)
	}
	return results, context.Cause(ctx)
}

func runGroup(ctx context.Context, g Group, o Options) Result {
	began := time.Now()
	o.Print("%s: %s\n", g.Name, g.Title)
	r := Result{Name: g.Name, Title: g.Title, Unit: g.Unit, Notes: g.Notes, Plot: g.Plot}
	if past(o.End) {
		r.NotRun = "the run's time was up"
		r.Cases = untouched(g.Cases)
	} else {
		r.measure(ctx, g, o)
	}
	if !o.Quick {
		r.Goals = judge(g.Goals, r)
	}
	r.Seconds = time.Since(began).Seconds()
	return r
}

func past(end time.Time) bool { return !end.IsZero() && time.Now().After(end) }

func untouched(cases []Case) []CaseResult {
	all := make([]CaseResult, len(cases))
	for i, c := range cases {
		all[i] = CaseResult{Name: c.Name, X: c.X, Reason: "not run"}
	}
	return all
}

// measure opens all cases, lets them take turns and closes them.
func (r *Result) measure(ctx context.Context, g Group, o Options) {
	players := make([]*player, len(g.Cases))
	for i, c := range g.Cases {
		players[i] = open(ctx, c)
	}
	rounds := roundsOf(g.Rounds, o.Quick)
	for ; r.Rounds < rounds && ctx.Err() == nil; r.Rounds++ {
		if past(o.End) {
			r.NotRun = fmt.Sprintf("the run's time was up after %d of %d rounds", r.Rounds, rounds)
			break
		}
		for i := range players {
			players[(i+r.Rounds)%len(players)].play(ctx, r.Rounds)
		}
	}
	for _, p := range players {
		r.Cases = append(r.Cases, p.end())
	}
}

func roundsOf(wanted int, quick bool) int {
	if quick {
		return min(wanted, max(2, wanted/3))
	}
	return wanted
}

// A player is a case on its way through a run.
type player struct {
	result  CaseResult
	turn    Turn
	samples []float64
	out     bool // it takes no more turns
}

func open(ctx context.Context, c Case) *player {
	p := &player{result: CaseResult{Name: c.Name, X: c.X}}
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	turn, err := c.Open(ctx)
	if err != nil {
		p.fail(err)
		return p
	}
	p.turn, p.result.Version = turn, turn.Version
	return p
}

// fail takes the case out of the run. What it has shown so far stays.
func (p *player) fail(err error) {
	p.out = true
	var absent Absent
	if p.result.Absent = errors.As(err, &absent); p.result.Absent {
		p.result.Reason = string(absent)
		return
	}
	p.result.Reason = err.Error()
}

func (p *player) play(ctx context.Context, round int) {
	if p.out {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	samples, err := p.turn.Sample(ctx, round)
	p.samples = append(p.samples, samples...)
	if err != nil {
		p.fail(fmt.Errorf("round %d: %w", round+1, err))
	}
}

// end closes the case and sums it up.
func (p *player) end() CaseResult {
	if p.turn.Close != nil {
		if err := p.turn.Close(); err != nil && p.result.Reason == "" {
			p.result.Reason = fmt.Sprintf("closing: %v", err)
		}
	}
	p.result.Summary = Summarize(p.samples)
	return p.result
}
