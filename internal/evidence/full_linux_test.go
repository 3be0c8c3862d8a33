package evidence

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Rule: on a full disk a death is an error and not forgotten; once there is
// room it is on the disk, and what could not be kept is counted.
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
	s := open(t, filepath.Join(dir, "evidence"), Limits{})
	add(t, s, 1, "x")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	long := record(2)
	long.Text = strings.Repeat("t", maxText)
	if _, err := s.Add(long, []byte("y")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("adding to a full disk: %v", err)
	}
	if records, dropped := s.List(); len(records) != 2 || !records[1].BlobLost || dropped.Blobs != 1 {
		t.Fatalf("the store has %+v, %+v", records, dropped)
	}
	if _, err := Open(s.dir, Limits{}); err != nil {
		t.Fatalf("a supervisor cannot start on a full disk: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	add(t, s, 3, "z")
	if records, dropped := list(t, s); len(records) != 3 || dropped.Blobs != 1 {
		t.Fatalf("listed %+v, %+v", records, dropped)
	}
}
