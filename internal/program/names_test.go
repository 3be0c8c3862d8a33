package program

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/bundle"
	"portward/internal/jobs"
)

// Rule: a suffix can be part of a label, of a service and of a file's name.
func TestSuffix(t *testing.T) {
	for _, s := range []string{"up", ".", "./x", ".a b", ".a/b", ".a:b", ".\u00e4", ".0123456789012345678901234567890123456789"} {
		if checkSuffix(s) == nil {
			t.Errorf("%q was taken", s)
		}
	}
	for _, s := range []string{"", ".up4711", ".Up-4.x"} {
		if err := checkSuffix(s); err != nil {
			t.Error(err)
		}
	}
}

// Rule: the plists of jobs with names of their own are not the bundle's.
func TestPlist(t *testing.T) {
	job := jobs.MakeTarget(jobs.System, "dev.x")
	if got := (&Program{Root: "/r"}).Plist(job); got != filepath.Join(bundle.Layout("/r/current").LaunchDaemons(), "dev.x.plist") {
		t.Error(got)
	}
	if got := (&Program{Root: "/r", suffix: ".up"}).Plist(job); got != "/r/jobs/dev.x.up.plist" {
		t.Error(got)
	}
}

// A listener of engines notes what is done to whom.
type noting struct {
	jobs.Engine
	calls  []jobs.Target
	events chan jobs.Event
}

func (n *noting) Bootout(_ context.Context, t jobs.Target) error {
	n.calls = append(n.calls, t)
	return nil
}
func (n *noting) Kickstart(_ context.Context, t jobs.Target, _ bool) error {
	n.calls = append(n.calls, t)
	return nil
}
func (n *noting) Hold(_ context.Context, t jobs.Target, _ time.Time) error {
	n.calls = append(n.calls, t)
	return nil
}
func (n *noting) State(_ context.Context, t jobs.Target) (jobs.State, error) {
	n.calls = append(n.calls, t)
	return jobs.State{Target: t, PID: 7}, errors.New("x")
}
func (n *noting) List(context.Context) ([]jobs.State, error) {
	return []jobs.State{{Target: "system/a.up"}, {Target: "gui/501/b.up"}, {Target: "system/other"}}, nil
}
func (n *noting) Watch(context.Context) (<-chan jobs.Event, error) { return n.events, nil }

// Rule: who uses a suffixed engine sees plain names, and the engine the others.
func TestSuffixedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &noting{events: make(chan jobs.Event, 2)}
		if e := (&Program{}).plain(n); e != jobs.Engine(n) {
			t.Error("without a suffix there is something between")
		}
		e := (&Program{suffix: ".up"}).plain(n)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		e.Bootout(ctx, "system/a")
		e.Kickstart(ctx, "system/a", true)
		e.Hold(ctx, "gui/501/a", time.Time{})
		if st, err := e.State(ctx, "system/a"); st.Target != "system/a" || st.PID != 7 || err == nil {
			t.Errorf("%+v, %v", st, err)
		}
		if want := []jobs.Target{"system/a.up", "system/a.up", "gui/501/a.up", "system/a.up"}; !slices.Equal(n.calls, want) {
			t.Errorf("%v", n.calls)
		}
		list, err := e.List(ctx)
		if err != nil || list[0].Target != "system/a" || list[1].Target != "gui/501/b" || list[2].Target != "system/other" {
			t.Errorf("%v, %v", list, err)
		}
		events, err := e.Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n.events <- jobs.Event{Kind: jobs.Loaded, Target: "system/a.up"}
		n.events <- jobs.Event{Kind: jobs.SessionOpened, Session: &jobs.Session{ID: "501"}}
		close(n.events)
		if ev := <-events; ev.Target != "system/a" || ev.Kind != jobs.Loaded {
			t.Errorf("%+v", ev)
		}
		if ev := <-events; ev.Target != "" || ev.Session.ID != "501" {
			t.Errorf("%+v", ev)
		}
		if _, more := <-events; more {
			t.Error("the engine's end is not told")
		}
	})
}
