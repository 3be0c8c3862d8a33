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

// smallDisk answers a file system of its own, of 64 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
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
	return dir
}

// Rule: what is free is told in bytes, and gets less.
func TestFreeBytes(t *testing.T) {
	dir := smallDisk(t)
	if n, err := Free(dir); err != nil || n != 64<<10 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if err := Write(filepath.Join(dir, "f"), bytes.Repeat([]byte("x"), 32<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := Free(dir); err != nil || n > 32<<10 {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// Rule: a link across file systems is one that cannot be, and leaves nothing.
func TestLinkAcrossDisks(t *testing.T) {
	dir := smallDisk(t)
	from := filepath.Join(t.TempDir(), "f")
	put(t, from, "x")
	if err := Link(from, filepath.Join(dir, "f")); !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, syscall.EXDEV) {
		t.Fatal(err)
	}
	wantNames(t, dir)
}

// Rule: on Linux a link costs no bytes: it is the same file.
func TestLinkIsTheSameFile(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	put(t, from, "x")
	if err := Link(from, to); err != nil {
		t.Fatal(err)
	}
	a, _ := os.Stat(from)
	if b, err := os.Stat(to); err != nil || !os.SameFile(a, b) {
		t.Fatalf("another file, %v", err)
	}
}

// Rule: a full disk costs the new version, never the old one, and leaves
// nothing behind that would keep it full.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
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

// Rule: an exchange across file systems is refused and moves nothing.
func TestExchangeAcrossDisks(t *testing.T) {
	a, b := filepath.Join(smallDisk(t), "a"), filepath.Join(t.TempDir(), "b")
	put(t, a, "a")
	put(t, b, "b")
	if err := Exchange(a, b); !errors.Is(err, syscall.EXDEV) {
		t.Fatal(err)
	}
	wantFile(t, a, "a", 0o600)
	wantFile(t, b, "b", 0o600)
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
