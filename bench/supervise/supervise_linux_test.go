package supervise

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portward/bench/harness"
	"portward/bench/harness/harnesstest"
)

// few is a group with those cases only, one round, no goals: time is never asserted.
func few(t *testing.T, g harness.Group, names ...string) harness.Group {
	t.Helper()
	g.Cases = slices.DeleteFunc(g.Cases, func(c harness.Case) bool { return !slices.Contains(names, c.Name) })
	if len(g.Cases) != len(names) {
		t.Fatalf("%s has %d of the cases %q", g.Name, len(g.Cases), names)
	}
	g.Rounds, g.Goals = 1, nil
	return g
}

// Rule: every group takes samples of us and of the floor that are figures.
func TestSmoke(t *testing.T) {
	env := harnesstest.Env(t)
	groups := []harness.Group{
		few(t, restart(env), "portward", "floor in C"),
		few(t, again(env), "portward", "floor in C", first),
		few(t, onDemand(env), "portward", "floor in C"),
		few(t, hang(env), silently, firstByte, withStack),
	}
	results, err := harness.Run(t.Context(), groups, harness.Options{Print: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		for _, c := range r.Cases {
			if v := c.Summary.P50; c.Reason != "" || c.Summary.N != 1 || v <= 0 || math.IsInf(v, 0) || math.IsNaN(v) {
				t.Errorf("%s, %s: %+v", r.Name, c.Name, c)
			}
		}
	}
}

// Rule: a supervisor that is closed leaves neither itself nor its child. Of the peers
// those are tried that are installed.
func TestNothingIsLeft(t *testing.T) {
	env := harnesstest.Env(t)
	for _, p := range keepers() {
		if err := p.absent(); err != nil {
			t.Logf("%s: %v", p.name, err)
			continue
		}
		t.Run(p.name, func(t *testing.T) { nothingIsLeft(t, env, p) })
	}
}

func nothingIsLeft(t *testing.T, env harness.Env, p peer) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := p.start(ctx, env, keep)
	if absent := harness.Absent(""); errors.As(err, &absent) {
		t.Log(err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	pids := append(tree(s.cmd.Process.Pid), s.last.pid)
	if own := p.own(s); slices.Contains(own, s.last.pid) || len(own) == 0 {
		t.Errorf("its own processes are %v of %v", own, pids)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if comm(pid) != "" && !dead(pid) {
			t.Errorf("pid %d (%s) is left", pid, comm(pid))
		}
	}
	if groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + filepath.Base(env.Work) + "*"); len(groups) > 0 {
		t.Errorf("left: %v", groups)
	}
}

// dead gives a process that was killed the time to die.
func dead(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = readable(ctx, fd)
	return err == nil
}

// Rule: a supervisor that does not start is an error with what it said, and leaves
// nothing; one whose program is missing is absent.
func TestSupervisorsThatDoNotStart(t *testing.T) {
	env := harnesstest.Env(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	mute := peer{name: "mute", prepare: func(*site) ([]string, error) {
		return []string{"/bin/sh", "-c", "echo no way >&2; exec sleep 60"}, nil
	}}
	if _, err := mute.start(ctx, env, keep); err == nil || !strings.Contains(err.Error(), "no way") {
		t.Errorf("a supervisor without a child: %v", err)
	}
	if entries, _ := os.ReadDir("/proc/self/task"); len(tree(os.Getpid())) > 1 {
		t.Errorf("children are left: %v (%d threads)", tree(os.Getpid()), len(entries))
	}
	gone := peer{name: "gone", pkg: "gone", programs: []string{"no-such-program"}}
	if _, err := gone.start(t.Context(), env, keep); !strings.Contains(err.Error(), "no-such-program") || !strings.HasPrefix(err.Error(), "absent") {
		t.Errorf("a supervisor that is not installed: %v", err)
	}
}

// Rule: what is used up is counted for all threads, and a process that is gone counts
// nothing.
func TestUsage(t *testing.T) {
	me := []int{os.Getpid()}
	before := used(me)
	for range 20 {
		time.Sleep(time.Millisecond)
	}
	if after := used(me); after.wakeups <= before.wakeups || after.cpu < before.cpu {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if pss(me) <= 0 {
		t.Error("this process uses no memory")
	}
	if u := used([]int{1 << 30}); u != (usage{}) || pss([]int{1 << 30}) != 0 {
		t.Errorf("nobody uses %+v", u)
	}
}
