package syscalls

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestMain is also the observed process: it writes two files.
func TestMain(m *testing.M) {
	dir := os.Getenv("PORTWARD_PROOF_OBSERVED")
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := Submit(os.NewFile(3, "observer")); err != nil {
		panic(err)
	}
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
	}
}

func observe(t *testing.T, dir string, decide func(Call) Verdict) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "PORTWARD_PROOF_OBSERVED="+dir)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := Observe(cmd, dir, time.Now().Add(time.Minute), decide); err != nil {
		t.Fatal(err)
	}
	return cmd, out.String()
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// Rule: every call on the tree is seen, in order, and nothing of it changes.
func TestSeesAll(t *testing.T) {
	dir := t.TempDir()
	var changes []string
	observe(t, dir, func(c Call) Verdict {
		if c.Changes {
			changes = append(changes, c.Name+" "+filepath.Base(c.Path))
		}
		return Verdict{}
	})
	if want := []string{"openat one", "write one", "openat two", "write two"}; !slices.Equal(changes, want) {
		t.Errorf("saw %q, want %q", changes, want)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("it left %q", got)
	}
}

// Rule: a call that is made to fail does not happen, and its caller is told why.
func TestFails(t *testing.T) {
	dir := t.TempDir()
	cmd, out := observe(t, dir, func(c Call) Verdict {
		if c.Name == "write" {
			return Verdict{Errno: syscall.ENOSPC}
		}
		return Verdict{}
	})
	if cmd.ProcessState.ExitCode() != 3 || !bytes.Contains([]byte(out), []byte(syscall.ENOSPC.Error())) {
		t.Errorf("it ended with %v and said %q", cmd.ProcessState, out)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "one")); err != nil || len(data) != 0 {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

// Rule: a process is killed before the call, not after it.
func TestKills(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := observe(t, dir, func(c Call) Verdict { return Verdict{Kill: filepath.Base(c.Path) == "two"} })
	if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"one"}) {
		t.Errorf("it left %q", got)
	}
}
