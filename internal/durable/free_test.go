package durable

import (
	"errors"
	"io/fs"
	"path/filepath"
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
