package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"portward/internal/bundle"
	"portward/internal/config"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/status"
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

func sealNaming(t *testing.T, name string) *bundle.Seal {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := bundle.Build(filepath.Join(t.TempDir(), bundle.Name), map[string]string{name: self}, fstest.MapFS{}, "1.0.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
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
			s := &supervisor{engine: &c.engine, seal: sealNaming(t, c.program)}
			if err := judged(t, s.isNetchild); (err == nil) != c.passes {
				t.Error(err)
			}
		})
	}
	s := &supervisor{engine: &oneJob{state: jobs.State{PID: self}}, seal: sealNaming(t, "netchild")}
	if err := s.isNetchild(&xpcpeer.Evidence{PID: self}); !errors.Is(err, xpcpeer.ErrNoProof) {
		t.Errorf("without the kernel's proof: %v", err)
	}
}

// Rule: a supervisor that may yet refuse its bundle publishes nothing; when it
// serves, the latest there is.
func TestPublicOnlyWhenItServes(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Dir(program.StatusPath(root)), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &supervisor{p: &program.Program{Root: root, Build: "test"}, log: t.Logf}
	s.report(watchdog.Status{State: watchdog.Down})
	s.report(watchdog.Status{State: watchdog.Starting, Life: 3, PID: 30})
	if _, err := status.Read(program.StatusPath(root)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("published early: %v", err)
	}
	s.goPublic()
	read := func() status.NetChild {
		t.Helper()
		st, err := status.Read(program.StatusPath(root))
		if err != nil {
			t.Fatal(err)
		}
		return st.NetChild
	}
	if n := read(); n.State != status.Starting || n.Life != 3 || n.PID != 30 {
		t.Errorf("published: %+v", n)
	}
	until := time.Now().Add(time.Minute)
	s.report(watchdog.Status{State: watchdog.Held, Life: 9, Until: until, Reason: "it dies"})
	if n := read(); n.State != status.Held || !n.HeldUntil.Equal(until) || !n.Next.Equal(until) || n.Reason != "it dies" {
		t.Errorf("published: %+v", n)
	}
}

// Rule: the announced times of a held child are the true ones: pauses double
// from the least to the longest and never run out.
func TestBackoff(t *testing.T) {
	cfg := config.Default()
	b := newBackoff(cfg)
	want := time.Duration(cfg.BackoffMin)
	for range 100 {
		if got := b.NextBackOff(); got != want {
			t.Fatalf("pause %v, want %v", got, want)
		}
		want = min(2*want, time.Duration(cfg.BackoffMax))
	}
	b.Reset()
	if got := b.NextBackOff(); got != time.Duration(cfg.BackoffMin) {
		t.Errorf("after a reset: %v", got)
	}
}

// Rule: out of order is refused and ends the connection that said it, and no
// life is believed.
func TestDoorRefuses(t *testing.T) {
	for name, d := range map[string]wire.Dict{
		"a beat before the check-in":    wire.Beat{}.Dict(),
		"a goodbye before the check-in": wire.Goodbye{Reason: wire.ReasonIdle}.Dict(),
		"an agent's hello":              wire.Hello{Min: 1, Max: 1, Build: "x", Role: wire.ClaimAgent, Session: "1"}.Dict(),
		"no kind":                       {"life": uint64(1)},
		"half a check-in":               {"k": "check-in", "life": uint64(1)},
		"versions of another world":     wire.CheckIn{Life: 1, Build: "x", Min: 1000, Max: 2000}.Dict(),
	} {
		t.Run(name, func(t *testing.T) {
			s := &supervisor{log: t.Logf}
			tr := xpcpeer.Mem()
			yes := func(*xpcpeer.Evidence) error { return nil }
			l, err := xpcpeer.Listen(tr, "door", xpcpeer.Config{Policy: yes, Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
				return xpcpeer.Events{Message: s.message, Invalid: s.gone}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ended := make(chan struct{})
			c := xpcpeer.Dial(tr, "door", xpcpeer.Config{Policy: yes, Events: xpcpeer.Events{Interrupted: func(c *xpcpeer.Conn) { c.Close() }, Invalid: func(*xpcpeer.Conn, error) { close(ended) }}})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			reply, err := c.Call(ctx, d)
			if err == nil {
				_, err = wire.ParseTerms(reply)
			}
			if r := (wire.Refusal{}); !errors.As(err, &r) {
				t.Errorf("answered: %v", err)
			}
			select {
			case <-ended:
			case <-ctx.Done():
				t.Error("the connection is open")
			}
		})
	}
}
