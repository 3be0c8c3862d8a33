package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"portward/internal/program"
	"portward/internal/status"
)

// Rule: who waits for a netchild that went idle goes on with any other life of it,
// also with one of a lower number: another supervisor may count anew.
func TestAwaitUpWithLowerLife(t *testing.T) {
	a := newAgent(t)
	path := program.StatusPath(a.p.Root)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	show := func(state status.State, life uint64) {
		t.Helper()
		if err := status.Write(path, status.Status{NetChild: status.NetChild{State: state, Life: life}}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	up := make(chan struct{})
	show(status.Up, 7)
	go func() {
		defer close(up)
		a.awaitUp(ctx, 7)
	}()
	show(status.Up, 3)
	await(t, "it is up again", func() bool {
		select {
		case <-up:
			return true
		default:
			return false
		}
	})
}
