package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// quiet prints nothing.
func quiet(string, ...any) {}

// fixed is a case whose samples are v.
func fixed(name string, v ...float64) Case {
	return Case{Name: name, Open: func(context.Context) (Turn, error) {
		return Turn{Sample: func(context.Context, int) ([]float64, error) { return v, nil }}, nil
	}}
}

func broken(name string, err error) Case {
	return Case{Name: name, Open: func(context.Context) (Turn, error) { return Turn{}, err }}
}

func runOne(t *testing.T, g Group, o Options) Result {
	t.Helper()
	o.Print = quiet
	all, err := Run(t.Context(), []Group{g}, o)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// Rule: a goal that cannot be compared is never met.
func TestGoalsThatCannotBeCompared(t *testing.T) {
	dies := Case{Name: "dies", Open: func(context.Context) (Turn, error) {
		return Turn{Sample: func(_ context.Context, round int) ([]float64, error) {
			if round > 0 {
				return nil, errors.New("died")
			}
			return []float64{1000}, nil
		}}, nil
	}}
	g := Group{
		Name: "g", Unit: Seconds, Rounds: 2,
		Cases: []Case{fixed("ours", 1), broken("absent", Absent("no such package")), broken("wrong", errors.New("boom")), dies, fixed("mute")},
	}
	for _, to := range []string{"absent", "wrong", "dies", "mute", "nobody"} {
		g.Goals = append(g.Goals, Goal{Of: "ours", To: to, Least: 2}, Goal{Of: to, Most: 1e9})
	}
	r := runOne(t, g, Options{})
	for i, v := range r.Goals {
		if v.State != Missed || v.Why == "" {
			t.Errorf("goal %d: %v", i, v)
		}
	}
	if c := r.Cases[1]; !c.Absent || c.Reason != "no such package" {
		t.Errorf("an absent case is %+v", c)
	}
	if c := r.Cases[3]; c.Summary.N != 1 || !strings.Contains(c.Reason, "died") {
		t.Errorf("a case that died keeps what it had and says why: %+v", c)
	}
}

// Rule: a goal is met at its bound, and missed beyond it.
func TestGoalsAtTheirBounds(t *testing.T) {
	g := Group{
		Name: "g", Unit: Seconds, Rounds: 1, Cases: []Case{fixed("ours", 2), fixed("peer", 20)},
		Goals: []Goal{
			{Of: "ours", To: "peer", Most: 0.1}, {Of: "ours", To: "peer", Least: 10}, {Of: "ours", Most: 2},
			{Of: "ours", To: "peer", Most: 0.09}, {Of: "ours", To: "peer", Least: 11}, {Of: "ours", Most: 1.9},
		},
	}
	for i, v := range runOne(t, g, Options{}).Goals {
		if want := map[bool]State{true: Met, false: Missed}[i < 3]; v.State != want {
			t.Errorf("goal %d: %v", i, v)
		}
	}
}

// Rule: what did not fit before the end is not run, and so are its goals.
func TestEnd(t *testing.T) {
	slow := Case{Name: "slow", Open: func(context.Context) (Turn, error) {
		return Turn{Sample: func(context.Context, int) ([]float64, error) {
			time.Sleep(time.Millisecond)
			return []float64{1}, nil
		}}, nil
	}}
	goal := []Goal{{Of: "slow", Most: 2}}
	all, err := Run(t.Context(), []Group{
		{Name: "a", Rounds: 1_000_000, Cases: []Case{slow}, Goals: goal},
		{Name: "b", Rounds: 1, Cases: []Case{slow}, Goals: goal},
	}, Options{End: time.Now().Add(20 * time.Millisecond), Print: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if a := all[0]; a.NotRun == "" || a.Rounds == 0 || a.Goals[0].State != Met {
		t.Errorf("the group that was cut short: %+v", a)
	}
	if b := all[1]; b.NotRun == "" || b.Goals[0].State != NotRun || len(b.Cases) != 1 {
		t.Errorf("the group that was not run: %+v", b)
	}
}

// Rule: cases take turns, each round beginning with another one.
func TestTurns(t *testing.T) {
	var order []string
	player := func(name string) Case {
		return Case{Name: name, Open: func(context.Context) (Turn, error) {
			return Turn{Sample: func(_ context.Context, round int) ([]float64, error) {
				order = append(order, fmt.Sprint(name, round))
				return []float64{1}, nil
			}, Close: func() error { order = append(order, name+" closed"); return nil }}, nil
		}}
	}
	runOne(t, Group{Name: "g", Rounds: 3, Cases: []Case{player("a"), player("b"), player("c")}}, Options{})
	want := []string{"a0", "b0", "c0", "b1", "c1", "a1", "c2", "a2", "b2", "a closed", "b closed", "c closed"}
	if !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}

// Rule: what was opened is closed although the run was ended.
func TestEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	closed := 0
	c := Case{Name: "c", Open: func(context.Context) (Turn, error) {
		return Turn{Sample: func(ctx context.Context, _ int) ([]float64, error) {
			cancel(errors.New("enough"))
			return nil, ctx.Err()
		}, Close: func() error { closed++; return nil }}, nil
	}}
	g := Group{Name: "g", Rounds: 5, Cases: []Case{c, c}}
	all, err := Run(ctx, []Group{g, g}, Options{Print: quiet})
	if err == nil || err.Error() != "enough" {
		t.Errorf("the run's error is %v", err)
	}
	if len(all) != 1 || closed != 2 {
		t.Errorf("%d groups, %d cases closed", len(all), closed)
	}
}

// Rule: there is no ratio to a figure of zero, and a goal of it is missed.
func TestGoalsOfZero(t *testing.T) {
	g := Group{
		Name: "g", Unit: Seconds, Rounds: 1, Cases: []Case{fixed("ours", 0), fixed("peer", 0), fixed("slow", 1)},
		Goals: []Goal{
			{Of: "ours", To: "slow", Least: 10}, {Of: "slow", To: "peer", Most: 2}, {Of: "ours", To: "peer", Most: 2},
			{Of: "ours", To: "slow", Most: 2}, {Of: "ours", Most: 1},
		},
	}
	for i, v := range runOne(t, g, Options{}).Goals {
		if want := map[bool]State{true: Missed, false: Met}[i < 3]; v.State != want {
			t.Errorf("goal %d: %v", i, v)
		}
	}
}

// Rule: a quick run judges no goal and says so; it is missed by nothing but failures.
func TestQuick(t *testing.T) {
	turns := 0
	counts := Case{Name: "ours", Open: func(context.Context) (Turn, error) {
		return Turn{Sample: func(context.Context, int) ([]float64, error) { turns++; return []float64{9}, nil }}, nil
	}}
	g := Group{Name: "g", Unit: Seconds, Rounds: 9, Cases: []Case{counts, broken("peer", Absent("no"))}, Goals: []Goal{{Of: "ours", Most: 1}, {Of: "ours", To: "peer", Most: 1}}}
	r := Report{Quick: true, Results: []Result{runOne(t, g, Options{Quick: true})}}
	if turns != 3 || len(r.Results[0].Goals) != 0 || r.Missed() || len(r.Failures()) != 0 {
		t.Errorf("%d turns; missed: %v; failures: %q; %+v", turns, r.Missed(), r.Failures(), r.Results[0].Goals)
	}
	for _, text := range []string{r.Summary(), string(r.summary()), string(r.markdown(t.TempDir()))} {
		if !strings.Contains(text, "quick: too few samples to judge goals") || strings.Contains(text, string(Met)+":") {
			t.Errorf("a quick run says:\n%s", text)
		}
	}
}

// Rule: a case that broke and a group that was not run are failures; a case that is
// absent is none.
func TestFailures(t *testing.T) {
	g := Group{Name: "g", Unit: Seconds, Rounds: 1, Cases: []Case{fixed("ours", 1), broken("absent", Absent("no")), broken("wrong", errors.New("boom\nmore"))}}
	late := runOne(t, Group{Name: "late", Rounds: 1, Cases: []Case{fixed("ours", 1)}}, Options{End: time.Now().Add(-time.Second)})
	r := Report{Results: []Result{runOne(t, g, Options{}), late}}
	want := []string{"g: wrong failed: boom", "late: not run: the run's time was up"}
	if got := r.Failures(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, line := range want {
		if !strings.Contains(r.Summary(), line) {
			t.Errorf("no %q in\n%s", line, r.Summary())
		}
	}
}
