package main

import (
	"os"
	"testing"
	"time"
)

// Rule: a netchild whose bundle has no seal believes nobody, and ends.
func TestNothingToPrepare(t *testing.T) {
	stopped := make(chan struct{})
	p := prepare(t.TempDir(), func() { close(stopped) })
	if id, err := p.Identify(os.Stdin); err == nil {
		t.Errorf("somebody is %q", id)
	}
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
	if p.failed() == nil {
		t.Error("nobody says why")
	}
}
