package durable

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
)

// Rule: there is an answer for what is there, and none for what is not.
func TestFree(t *testing.T) {
	dir := t.TempDir()
	if n, err := Free(dir); err != nil || n == 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := Free(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Rule: what cannot fit is told before it is tried.
func TestWantFree(t *testing.T) {
	dir := t.TempDir()
	if err := WantFree(dir, 1); err != nil {
		t.Error(err)
	}
	if err := WantFree(dir, 1<<62); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := WantFree(dir+"/none", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
