package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"portward/internal/bundle"
	"portward/internal/program"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

func agentWith(t *testing.T, name string) *agent {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	seal, err := bundle.Build(filepath.Join(root, bundle.Name), map[string]string{name: self}, fstest.MapFS{}, "1.0.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &agent{p: &program.Program{Root: root, Session: "7", Build: "test"}, bundle: seal, log: t.Logf}
}

// connected answers a connection from this process to a, once a's policy said
// what it says.
func connected(t *testing.T, a *agent, policy xpcpeer.Policy) (*xpcpeer.Conn, error) {
	t.Helper()
	tr := xpcpeer.Mem()
	l, err := xpcpeer.Listen(tr, "agent", xpcpeer.Config{
		Policy: policy,
		Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) { return xpcpeer.Events{Message: a.called}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c := xpcpeer.Dial(tr, "agent", xpcpeer.Config{Policy: func(*xpcpeer.Evidence) error { return nil }})
	t.Cleanup(func() { c.Close(); <-c.Done(); l.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return c, c.Activate(ctx)
}

// Rule: an agent's endpoint serves netchild and agents of the bundle, and
// nobody else who got hold of it.
func TestMayCall(t *testing.T) {
	for name, may := range map[string]bool{"netchild": true, "guiagent": true, "supervisor": false, "helper": false} {
		a := agentWith(t, name)
		if _, err := connected(t, a, a.mayCall); (err == nil) != may || err != nil && !errors.Is(err, xpcpeer.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rule: only netchild's executable answers at netchild's name.
func TestIsNetchild(t *testing.T) {
	for name, is := range map[string]bool{"netchild": true, "guiagent": false, "supervisor": false} {
		a := agentWith(t, name)
		if _, err := connected(t, a, a.isNetchild); (err == nil) != is {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rule: where the executable cannot be seen, netchild is whoever has the uid
// that owns netchild's own directory, if that is not the agent's own.
func TestIsService(t *testing.T) {
	a := agentWith(t, "guiagent")
	hidden := fmt.Errorf("%w: %w", program.ErrHidden, os.ErrPermission)
	if err := a.orService(&xpcpeer.Evidence{UID: 5}, hidden); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the directory: %v", err)
	}
	if err := a.orService(&xpcpeer.Evidence{UID: 5}, bundle.ErrUnknown); !errors.Is(err, bundle.ErrUnknown) || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that was seen: %v", err)
	}
	dir := program.PrivateDir(a.p.Root, "system/"+launchd.NetChild)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	self := uint32(os.Geteuid())
	if err := a.orService(&xpcpeer.Evidence{UID: self}, hidden); !errors.Is(err, hidden) {
		t.Errorf("our own uid: %v", err)
	}
	if err := a.orService(&xpcpeer.Evidence{UID: self + 1}, hidden); !errors.Is(err, hidden) {
		t.Errorf("a stranger's uid: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to give the directory to another user")
	}
	if err := os.Chown(dir, 61000, 61000); err != nil {
		t.Fatal(err)
	}
	if err := a.orService(&xpcpeer.Evidence{UID: 61000}, hidden); err != nil {
		t.Errorf("netchild's uid: %v", err)
	}
	if err := a.orService(&xpcpeer.Evidence{UID: 61001}, hidden); !errors.Is(err, hidden) {
		t.Errorf("another uid: %v", err)
	}
}

// Rule: an agent answers what a caller may ask; anything else is refused.
func TestCalled(t *testing.T) {
	a := agentWith(t, "netchild")
	a.frames.Store(42)
	c, err := connected(t, a, a.mayCall)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	call := func(d wire.Dict) wire.Dict {
		t.Helper()
		r, err := c.Call(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if p, err := wire.ParsePong(call(wire.Ping{}.Dict())); err != nil || p.Frames != 42 {
		t.Errorf("pong: %+v, %v", p, err)
	}
	if d, err := wire.ParseDescription(call(wire.Describe{}.Dict())); err != nil || d.Session != "7" {
		t.Errorf("description: %+v, %v", d, err)
	}
	if _, err := wire.ParseOK(call(wire.Refresh{}.Dict())); err != nil {
		t.Errorf("refresh without a source: %v", err)
	}
	if _, err := wire.ParseOK(call(wire.Dict{"k": "x-new"})); err == nil {
		t.Error("an unknown optional kind was carried out")
	}
	r := wire.Refusal{}
	if _, err := wire.ParseOK(call(wire.Detach{Chain: 1}.Dict())); !errors.As(err, &r) || r.Code != wire.CodeNotPermitted {
		t.Errorf("detach: %v", err)
	}
}
