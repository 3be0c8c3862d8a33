package jobs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portward/internal/jobs"
	"portward/internal/jobs/jobstest"
)

const hostVariable = "JOBS_TEST_HOST"

// hostChild is a process that does nothing but host an engine.
func hostChild() {
	dir := os.Getenv(hostVariable)
	if dir == "" {
		return
	}
	os.Unsetenv(hostVariable)
	e, err := jobs.NewEmbedded(jobs.Options{RunDir: dir, BindService: bind(dir), Environ: os.Environ()})
	if err != nil {
		panic(err)
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*.plist"))
	for _, p := range paths {
		if err := e.Bootstrap(context.Background(), jobs.System, p); err != nil {
			panic(err)
		}
	}
	fmt.Println("loaded")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// TestHostKilled guards the promise that within a second of the engine's
// SIGKILL no job is left: not one that is stopped, not one that spins and
// ignores signals.
func TestHostKilled(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("needs Linux: the embedded engine is not supported here")
	}
	dir := shortDir(t)
	roles := []string{"sleep", "stopped", "spin", "stubborn"}
	for _, role := range roles {
		if _, err := jobstest.Plist(dir, role, role, map[string]any{"KeepAlive": true}); err != nil {
			t.Fatal(err)
		}
	}
	host := startHost(t, dir)
	var pids []int
	for _, role := range roles {
		poll(t, role, func() bool { return len(jobstest.Notes(dir, role)) > 0 })
		pids = append(pids, jobstest.Notes(dir, role)[0].PID)
	}
	poll(t, "stopped", func() bool { return jobstest.Stopped(pids[1]) })
	for i, pid := range pids {
		if jobstest.Gone(pid) {
			t.Fatalf("%s is gone too early", roles[i])
		}
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	left := func() (names []string) {
		for i, pid := range pids {
			if !jobstest.Gone(pid) {
				names = append(names, roles[i])
			}
		}
		return names
	}
	for len(left()) > 0 {
		if time.Since(killed) > time.Second {
			t.Fatalf("after a second there are still %s", strings.Join(left(), ", "))
		}
		time.Sleep(time.Millisecond)
	}
	t.Logf("all gone after %v", time.Since(killed))
}

func startHost(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), hostVariable+"="+dir)
	host.Stderr = os.Stderr
	in, err := host.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); host.Process.Kill(); host.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "loaded\n" {
		t.Fatalf("host said %q, %v", line, err)
	}
	return host
}

// poll waits for a condition.
func poll(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(jobstest.Patience); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
