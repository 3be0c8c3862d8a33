package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"portward/internal/bundle"
	"portward/internal/surface"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// sealNaming answers a seal in which this test binary is the program of that
// name.
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

func quiet(string, ...any) {}

// Rule: at netchild's door stands a user who is logged in, with the executable
// that the seal calls an agent. Both are needed.
func TestMayEnter(t *testing.T) {
	uid := uint64(os.Geteuid())
	for name, c := range map[string]struct {
		program string
		logins  []wire.SessionInfo
		enters  bool
	}{
		"the agent of a login":   {"guiagent", []wire.SessionInfo{{ID: "1", UID: uid}}, true},
		"a login's other":        {"supervisor", []wire.SessionInfo{{ID: "1", UID: uid}}, false},
		"an agent without login": {"guiagent", []wire.SessionInfo{{ID: "1", UID: uid + 1}}, false},
		"nobody is logged in":    {"guiagent", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := &netchild{bundle: sealNaming(t, c.program), logins: newLogins(), log: quiet}
			n.logins.tell(c.logins)
			if err := judged(t, n.mayEnter); (err == nil) != c.enters {
				t.Error(err)
			}
		})
	}
}

// Rule: of another user's process, whose executable the kernel does not show,
// the uid decides; of one's own the executable must be seen.
func TestSealed(t *testing.T) {
	n := &netchild{bundle: sealNaming(t, "guiagent"), log: quiet}
	self := uint32(os.Geteuid())
	if err := n.sealed(&xpcpeer.Evidence{PID: 1, UID: self + 1}, launchd.GUIAgent); err != nil {
		t.Errorf("another user: %v", err)
	}
	if err := n.sealed(&xpcpeer.Evidence{PID: 1, UID: self}, launchd.GUIAgent); err == nil {
		t.Error("our own user, without a proof, passed")
	}
	if err := judged(t, func(ev *xpcpeer.Evidence) error { return n.sealed(ev, launchd.GUIAgent) }); err != nil {
		t.Errorf("the agent: %v", err)
	}
	if err := judged(t, func(ev *xpcpeer.Evidence) error { return n.sealed(ev, launchd.Supervisor) }); err == nil {
		t.Error("the agent passed for the supervisor")
	}
}

// Rule: whoever is not root is the supervisor only by its executable.
func TestIsSupervisor(t *testing.T) {
	if err := (&netchild{}).isSupervisor(&xpcpeer.Evidence{PID: 1}); err != nil {
		t.Errorf("root: %v", err)
	}
	n := &netchild{bundle: sealNaming(t, "guiagent"), log: quiet}
	as := func(ev *xpcpeer.Evidence) error {
		if ev.UID == 0 { // root passes by being root
			return n.sealed(ev, launchd.Supervisor)
		}
		return n.isSupervisor(ev)
	}
	if err := judged(t, as); err == nil {
		t.Error("an agent passed for the supervisor")
	}
}

// Rule: a login whose news are slower than its agent is waited for, and no
// longer than said.
func TestLoginsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins()
		ctx, cancel := context.WithTimeout(t.Context(), newLoginWithin)
		defer cancel()
		go func() {
			time.Sleep(newLoginWithin / 4)
			l.tell([]wire.SessionInfo{{ID: "2", UID: 7}}) // not yet the one
			time.Sleep(newLoginWithin / 4)
			l.tell([]wire.SessionInfo{{ID: "2", UID: 7}, {ID: "1", UID: 8}})
		}()
		began := time.Now()
		if !l.has(ctx, "1", 8) {
			t.Error("not found")
		}
		if d := time.Since(began); d != newLoginWithin/2 {
			t.Errorf("found after %v", d)
		}
		if l.has(ctx, "1", 7) || l.has(ctx, "2", 8) {
			t.Error("somebody else's session was found")
		}
		if d := time.Since(began); d != newLoginWithin {
			t.Errorf("waited for %v", d)
		}
		if !l.has(ctx, "1", 8) {
			t.Error("what is known needs no waiting")
		}
		l.tell(nil)
		if l.has(ctx, "1", 8) {
			t.Error("logged out and still found")
		}
	})
}

// Rule: what crosses the border is one of the wire's codes, and a lie is told
// from a limit.
func TestRefusal(t *testing.T) {
	busy := wire.Refusal{Code: wire.CodeBusy, Text: "later"}
	for _, c := range []struct {
		err  error
		want wire.Code
	}{
		{busy, wire.CodeBusy},
		{fmt.Errorf("wrapped: %w", busy), wire.CodeBusy},
		{fmt.Errorf("x: %w", wire.ErrMalformed), wire.CodeMalformed},
		{fmt.Errorf("x: %w", surface.ErrHostile), wire.CodeMalformed},
		{fmt.Errorf("x: %w", surface.ErrLimit), wire.CodeLimit},
		{errors.New("anything"), wire.CodeInternal},
	} {
		if r := refusal(c.err); r.Code != c.want || r.Text == "" {
			t.Errorf("%v: %+v, want %s", c.err, r, c.want)
		}
	}
}

// Rule: an agent of the bundle that was replaced is still one, from the moment
// that bundle is retained, though netchild has been running for long.
func TestRetainedAgents(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	make := func(at, version string, programs map[string]string) {
		t.Helper()
		if _, err := bundle.Build(at, programs, fstest.MapFS{}, version, nil); err != nil {
			t.Fatal(err)
		}
	}
	live, old := filepath.Join(dir, bundle.Name), filepath.Join(dir, "old", bundle.Name)
	make(live, "2.0.0", map[string]string{"guiagent": "/bin/sh"})
	make(old, "1.0.0", map[string]string{"guiagent": self})
	retained := filepath.Join(dir, "retained.json")
	known, err := bundle.OpenKnown(live, retained)
	if err != nil {
		t.Fatal(err)
	}
	n := &netchild{bundle: known, logins: newLogins(), log: quiet}
	n.logins.tell([]wire.SessionInfo{{ID: "1", UID: uint64(os.Geteuid())}})
	if err := judged(t, n.mayEnter); err == nil {
		t.Error("a program of no bundle entered")
	}
	if err := os.Rename(bundle.Layout(old).Seal(), retained); err != nil {
		t.Fatal(err)
	}
	if err := judged(t, n.mayEnter); err != nil {
		t.Errorf("the agent of the retained bundle: %v", err)
	}
}
