package update

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"portward/internal/bundle"
	"portward/internal/status"
)

// Rule: a live file that is spoilt by more than its bytes is not linked.
func TestSpoiltInode(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.mustOpen()
	if err := unix.Setxattr(bundle.Layout(s.cfg.Live).Program("guiagent"), "user.spoilt", []byte("x"), 0); err != nil {
		t.Skip(err) // a file system without attributes cannot be spoilt by one
	}
	s.offer("2.0.0")
	u := s.mustOpen()
	if s.pay.State != status.Damaged {
		t.Fatalf("status %+v", s.pay)
	}
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Errorf("check: %v", err)
	}
	s.settle()
	s.lives("2.0.0")
}
