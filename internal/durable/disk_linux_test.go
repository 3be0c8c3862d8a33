package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Rule: a full disk costs the new version, never the old one, and leaves
// nothing behind that would keep it full.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "f")
	if err := Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, bytes.Repeat([]byte("x"), 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("writing past the end of the disk: %v", err)
	}
	wantFile(t, path, "old", 0o600)
	wantNames(t, dir, "f")
	if err := Write(path, []byte("new"), 0o600); err != nil {
		t.Fatalf("the space did not come back: %v", err)
	}
}

// Rule: both paths exist at every instant of an exchange, and trade places.
func TestExchange(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	put(t, a, "file")
	if err := os.Mkdir(b, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Exchange(a, b); errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("needs a file system with RENAME_EXCHANGE: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	wantFile(t, b, "file", 0o600)
	if info, err := os.Stat(a); err != nil || !info.IsDir() {
		t.Fatalf("a is %v, %v", info, err)
	}
	if err := Exchange(a, filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("exchange with nothing: %v", err)
	}
	wantNames(t, dir, "a", "b")
}
