package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"portward/internal/bundle"
	"portward/internal/jobs"
	"portward/internal/watchdog"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// An engine that knows one job.
type oneJob struct {
	jobs.Engine
	state jobs.State
	err   error
}

func (e *oneJob) State(_ context.Context, t jobs.Target) (jobs.State, error) {
	if t != netchild {
		return jobs.State{}, jobs.ErrNotLoaded
	}
	return e.state, e.err
}

// knownNaming answers what is known beside a bundle in which this very program
// has that name.
func knownNaming(t *testing.T, name string) *bundle.Known {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), bundle.Name)
	if _, err := bundle.Build(dir, map[string]string{name: self}, fstest.MapFS{}, "1.0.0", nil); err != nil {
		t.Fatal(err)
	}
	k, err := bundle.OpenKnown(dir, filepath.Join(t.TempDir(), "none"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// judged answers what a policy says of this very process, proven by the kernel.
func judged(t *testing.T, policy xpcpeer.Policy) error {
	t.Helper()
	verdict := make(chan error, 1)
	tr := xpcpeer.Mem()
	l, err := xpcpeer.Listen(tr, "judge", xpcpeer.Config{
		Policy: func(ev *xpcpeer.Evidence) error { err := policy(ev); verdict <- err; return err },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := xpcpeer.Dial(tr, "judge", xpcpeer.Config{Policy: func(*xpcpeer.Evidence) error { return nil }})
	defer func() { c.Close(); <-c.Done() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c.Activate(ctx)
	return <-verdict
}

// Rule: the process that checks in is the one that the engine runs as netchild,
// and runs what the seal calls netchild. Neither alone is enough.
func TestIsNetchild(t *testing.T) {
	self := os.Getpid()
	for name, c := range map[string]struct {
		program string
		engine  oneJob
		passes  bool
	}{
		"netchild":              {"netchild", oneJob{state: jobs.State{PID: self}}, true},
		"another process":       {"netchild", oneJob{state: jobs.State{PID: self + 1}}, false},
		"netchild does not run": {"netchild", oneJob{}, false},
		"another executable":    {"guiagent", oneJob{state: jobs.State{PID: self}}, false},
		"a silent engine":       {"netchild", oneJob{state: jobs.State{PID: self}, err: errors.New("gone")}, false},
		"no such job":           {"netchild", oneJob{err: jobs.ErrNotLoaded}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &supervisor{engine: &c.engine, known: knownNaming(t, c.program)}
			if err := judged(t, s.mayCheckIn); (err == nil) != c.passes {
				t.Error(err)
			}
		})
	}
	if err := judged(t, (&supervisor{engine: &oneJob{state: jobs.State{PID: self}}}).mayCheckIn); err == nil {
		t.Error("a netchild of a bundle that is damaged got in")
	}
	s := &supervisor{engine: &oneJob{state: jobs.State{PID: self}}, known: knownNaming(t, "netchild")}
	if err := s.mayCheckIn(&xpcpeer.Evidence{PID: self}); !errors.Is(err, xpcpeer.ErrNoProof) {
		t.Errorf("without the kernel's proof: %v", err)
	}
}

// Rule: while the supervisor of a staged bundle proves itself, its process gets
// in too, if it runs what that bundle's seal calls a supervisor; and it can say
// nothing there but its check-in.
func TestCandidate(t *testing.T) {
	self := os.Getpid()
	for name, c := range map[string]struct {
		program string
		pid     int
		passes  bool
	}{
		"the candidate":      {"supervisor", self, true},
		"another process":    {"supervisor", self + 1, false},
		"another executable": {"netchild", self, false},
	} {
		s := &supervisor{engine: &oneJob{err: jobs.ErrNotLoaded}, candidate: &candidate{pid: c.pid, seal: knownNaming(t, c.program).Live()}}
		if err := judged(t, s.mayCheckIn); (err == nil) != c.passes {
			t.Errorf("%s: %v", name, err)
		}
	}
	x := &candidate{in: make(chan wire.CheckIn, 1)}
	tr := xpcpeer.Mem()
	yes := func(*xpcpeer.Evidence) error { return nil }
	l, err := xpcpeer.Listen(tr, "door", xpcpeer.Config{Policy: yes, Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
		return xpcpeer.Events{Message: x.checkIn}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := xpcpeer.Dial(tr, "door", xpcpeer.Config{Policy: yes})
	defer func() { c.Close(); <-c.Done() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, d := range []wire.Dict{
		wire.Beat{}.Dict(), wire.Lease{Until: time.Now().Add(time.Hour)}.Dict(), wire.CheckIn{Build: "x", Min: 1000, Max: 2000}.Dict(),
	} {
		reply, err := c.Call(ctx, d)
		if err == nil {
			_, err = wire.ParseWelcome(reply)
		}
		if r := (wire.Refusal{}); !errors.As(err, &r) || len(x.in) != 0 {
			t.Errorf("%v: %v", d, err)
		}
	}
	for range 2 {
		if _, err := c.Call(ctx, wire.CheckIn{Build: "x", Min: wire.VersionMin, Max: wire.VersionMax}.Dict()); err != nil || len(x.in) != 1 {
			t.Errorf("%d check-ins: %v", len(x.in), err)
		}
	}
}

// Rule: what the engine has told of a living netchild it is not asked again, and
// what it has told is over with that life.
func TestLifeIsKnownFromTheNews(t *testing.T) {
	e := &oneJob{err: errors.New("asked")}
	s := &supervisor{engine: e, dog: watchdog.New(watchdog.Config{}, watchdog.Env{Report: func(watchdog.Status) {}})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.dog.Run(ctx) // nobody judges here
	s.event(t.Context(), jobs.Event{Target: netchild, Kind: jobs.Started, Life: 7, PID: 70})
	if life, err := s.lifeOf(70); life != 7 || err != nil {
		t.Errorf("life %d, %v", life, err)
	}
	for _, pid := range []int{0, 71} {
		if _, err := s.lifeOf(pid); err == nil {
			t.Errorf("pid %d is somebody", pid)
		}
	}
	s.event(t.Context(), jobs.Event{Target: netchild, Kind: jobs.Exited, Life: 7, PID: 70})
	if _, err := s.lifeOf(70); err == nil {
		t.Error("the dead are believed")
	}
}
