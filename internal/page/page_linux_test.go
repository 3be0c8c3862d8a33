package page

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func memfd(t *testing.T, size int64, seals int) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd:test")
	t.Cleanup(func() { f.Close() })
	if err := unix.Ftruncate(fd, size); err != nil {
		t.Fatal(err)
	}
	if seals != 0 {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// Rule: what arrives is hostile until checked, and nothing is mapped before.
func TestOpenRefuses(t *testing.T) {
	plain, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	plain.Truncate(4096)
	pipe, pipeW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer pipeW.Close()
	closed := memfd(t, 4096, seals)
	closed.Close()
	for name, f := range map[string]*os.File{
		"a file on disk":         plain,
		"a pipe":                 pipe,
		"a closed descriptor":    closed,
		"no seals":               memfd(t, 4096, 0),
		"may shrink":             memfd(t, 4096, unix.F_SEAL_GROW|unix.F_SEAL_SEAL),
		"may grow":               memfd(t, 4096, unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL),
		"may be sealed further":  memfd(t, 4096, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW),
		"empty":                  memfd(t, 0, seals),
		"a byte too short":       memfd(t, 39, seals),
		"sealed against writing": memfd(t, 4096, seals|unix.F_SEAL_WRITE),
		"sealed for the future":  memfd(t, 4096, seals|unix.F_SEAL_FUTURE_WRITE),
	} {
		p, err := Open(f, 5)
		var e *Error
		if p != nil || !errors.As(err, &e) || e.Op != "open" {
			t.Errorf("%s: %v, %v; want a refusal", name, p, err)
		}
	}
}

func TestWordsAreBounded(t *testing.T) {
	f := memfd(t, 4096, seals)
	for _, n := range []int{-1, 0, MaxWords + 1, 1 << 62} {
		if p, err := New(n); p != nil || err == nil {
			t.Errorf("New(%d): %v, %v", n, p, err)
		}
		if p, err := Open(f, n); p != nil || err == nil {
			t.Errorf("Open(%d): %v, %v", n, p, err)
		}
	}
}

// Two mappings are one memory; a bigger page than was asked for is fine.
func TestShared(t *testing.T) {
	a, err := New(8)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Open(a.File(), 5)
	if err != nil {
		t.Fatal(err)
	}
	if b.File() != nil {
		t.Error("an opened page owns no descriptor")
	}
	a.Store(4, 1<<63)
	if got := b.Add(4, 2); got != 1<<63+2 || a.Load(4) != got || b.Load(0) != 0 {
		t.Errorf("sum %#x, words %#x and %#x", got, a.Load(4), b.Load(0))
	}
	for i := range 2 {
		if err := b.Close(); err != nil {
			t.Errorf("close %d: %v", i, err)
		}
	}
	if a.Load(4) != 1<<63+2 {
		t.Error("the memory died with the other mapping")
	}
}

// Rule: the size is fixed for ever, also for us.
func TestPageCannotBeResized(t *testing.T) {
	p, err := New(5)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, size := range []int64{0, 8, 8192} {
		if err := unix.Ftruncate(int(p.File().Fd()), size); !errors.Is(err, unix.EPERM) {
			t.Errorf("ftruncate to %d: %v, want EPERM", size, err)
		}
	}
}

// A use after Close is a broken program, not a read of somebody's memory.
func TestUseAfterClosePanics(t *testing.T) {
	p, err := New(1)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	p.Load(0)
}

// Rule: no leaked descriptor or mapping.
func TestNothingLeaks(t *testing.T) {
	fds := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("needs /proc: ", err)
		}
		return len(entries)
	}
	maps := func() int {
		text, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip("needs /proc: ", err)
		}
		return strings.Count(string(text), "portward-page")
	}
	beforeFDs, beforeMaps := fds(), maps()
	for range 200 {
		p, err := New(5)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Open(p.File(), 5)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(p.File(), 6); err == nil {
			t.Fatal("6 words in a page of 5")
		}
		p.Close()
		q.Close()
	}
	if f, m := fds(), maps(); f != beforeFDs || m != beforeMaps {
		t.Errorf("%d descriptors and %d mappings, were %d and %d", f, m, beforeFDs, beforeMaps)
	}
}
