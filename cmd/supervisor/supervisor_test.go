package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portward/internal/config"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/watchdog"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

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
