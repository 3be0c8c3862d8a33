package harness

import (
	"context"
	"errors"
	"fmt"
	"regexp"
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
	Goals   []Verdict    `json:"goals,omitempty"`

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

// Run runs the groups that o chooses, one after the other, and answers what they came
// to, those that did not fit into the limit too. It stops early only when ctx ends.
func Run(ctx context.Context, groups []Group, o Options) ([]Result, error) {
	chosen, err := choose(groups, o.Only)
	if err != nil {
		return nil, err
	}
	end := time.Time{}
	if o.Limit > 0 {
		end = time.Now().Add(o.Limit)
	}
	results := make([]Result, 0, len(chosen))
	for _, g := range chosen {
		if ctx.Err() != nil {
			return results, context.Cause(ctx)
		}
		r := runGroup(ctx, g, o, end)
		o.Print("%s", Table(r))
		results = append(results, r)
	}
	return results, context.Cause(ctx)
}

func choose(groups []Group, only string) ([]Group, error) {
	want, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	var chosen []Group
	for _, g := range groups {
		if want.MatchString(g.Name) {
			chosen = append(chosen, g)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-only %s: no such group", only)
	}
	return chosen, nil
}

func runGroup(ctx context.Context, g Group, o Options, end time.Time) Result {
	began := time.Now()
	o.Print("%s: %s\n", g.Name, g.Title)
	r := Result{Name: g.Name, Title: g.Title, Unit: g.Unit, Notes: g.Notes, Plot: g.Plot}
	if past(end) {
		r.NotRun = "the run's time was up"
		r.Cases = untouched(g.Cases)
	} else {
		r.measure(ctx, g, o, end)
	}
	r.Goals = judge(g.Goals, r)
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
func (r *Result) measure(ctx context.Context, g Group, o Options, end time.Time) {
	players := make([]*player, len(g.Cases))
	for i, c := range g.Cases {
		players[i] = open(ctx, c)
	}
	rounds := roundsOf(g.Rounds, o.Quick)
	for ; r.Rounds < rounds && ctx.Err() == nil; r.Rounds++ {
		if past(end) {
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
