package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// holdEnv makes this binary a process that takes the lock of that path, says
// so, and keeps it; "-" takes none.
const holdEnv = "PORTWARD_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdEnv); path != "" {
		hold(path)
	}
	os.Exit(m.Run())
}

func hold(path string) {
	if path != "-" {
		if _, err := Lock(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin) // until the test ends it
	os.Exit(0)
}

// holder starts such a process, and waits for its word.
func holder(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holdEnv+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("it said %q, %v", line, err)
	}
	return cmd
}

// Rule: what somebody holds, nobody else gets, in the same process or another.
func TestTryLockIsRefused(t *testing.T) {
	dir := t.TempDir()
	mine, theirs := filepath.Join(dir, "mine"), filepath.Join(dir, "theirs")
	l, err := TryLock(mine)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	holder(t, theirs)
	for _, path := range []string{mine, theirs} {
		if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if info, err := os.Stat(mine); err != nil || info.Mode() != 0o600 {
		t.Errorf("its file has mode %v, %v", info.Mode(), err)
	}
}

// Rule: a lock is a file of its own, in a directory that is there.
func TestLockRefuses(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "target"), "x")
	if err := os.Symlink("target", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"link", ".", "none/lock"} {
		if _, err := Lock(filepath.Join(dir, path)); err == nil || errors.Is(err, ErrLocked) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := TryLock(filepath.Join(dir, "none/lock")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Rule: whoever waits gets it when it is given back, one at a time.
func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				l, err := Lock(path)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold it", n)
				}
				inside.Add(-1)
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// Rule: a killed holder holds nothing, and a child of the holder neither.
func TestLockEndsWithItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd := holder(t, path)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	l, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	holder(t, "-") // a child, which lives on
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = TryLock(path)
	if err != nil {
		t.Fatalf("given back, and kept by a child: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err == nil {
		t.Error("given back twice")
	}
}

// Rule: when the lock's file was replaced, what a waiter gets is the new one:
// with the old one it would be alone.
func TestLockOfAReplacedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *FileLock)
	go func() {
		l, err := Lock(path)
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	put(t, filepath.Join(filepath.Dir(path), "new"), "")
	if err := os.Rename(filepath.Join(filepath.Dir(path), "new"), path); err != nil {
		t.Fatal(err)
	}
	if isAt(first.f, path) {
		t.Error("a replaced file is at its path")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	l := <-got
	defer l.Close()
	if !isAt(l.f, path) {
		t.Fatal("the old file is locked")
	}
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if isAt(l.f, path) {
		t.Error("a removed file is at its path")
	}
}
