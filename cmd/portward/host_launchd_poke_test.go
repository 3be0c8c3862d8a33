package main

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"portward/internal/fault"
	"portward/internal/jobs"
	"portward/launchd"
)

// A livesMem is launchd's engine as far as whoever pokes needs it: a pid of each job,
// and events to everybody.
type livesMem struct {
	jobs.Engine
	pids   map[jobs.Target]int
	events chan jobs.Event
}

func (l *livesMem) State(_ context.Context, t jobs.Target) (jobs.State, error) {
	return jobs.State{Target: t, PID: l.pids[t]}, nil
}

func (l *livesMem) Watch(context.Context) (<-chan jobs.Event, error) { return l.events, nil }

// poked answers the FIFOs of a demonstration in which netchild runs, and what its next
// life opens by what its file says.
func poked(t *testing.T) (h *launchdHost, mem *livesMem, opens func() *os.File) {
	t.Helper()
	h, _ = demo(t)
	must(h.open())(t)
	t.Cleanup(h.pipes.close)
	mem = &livesMem{pids: map[jobs.Target]int{netchildTarget: 5}, events: make(chan jobs.Event)}
	h.pipes.engine = mem
	spec := must(jobs.ParseSpec("x", must(os.ReadFile(h.plist(launchd.NetChild)))(t)))(t)
	return h, mem, func() *os.File {
		t.Setenv(jobs.PipeVariable, spec.Environment[jobs.PipeVariable])
		f := must(jobs.Inherited())(t)[fault.Name]
		if f == nil {
			t.Fatal("no pipe of that name")
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
}

// read answers the faults that wait on f, up to as many.
func read(t *testing.T, f *os.File, most int) string {
	t.Helper()
	fd, b := int(f.Fd()), make([]byte, most)
	check(t, syscall.SetNonblock(fd, true))
	n, _ := syscall.Read(fd, b)
	return string(b[:max(n, 0)])
}

// Rule: a job that launchd keeps is told to fail by the FIFO that its file names, and
// by its name alone.
func TestPokeByPipe(t *testing.T) {
	h, mem, opens := poked(t)
	f := opens()
	heard := make(chan fault.Fault)
	go fault.Watch(f, func(f fault.Fault) { heard <- f })
	for _, want := range []fault.Fault{fault.Crash, fault.Deadlock, fault.Livelock, fault.Stop} {
		check(t, h.pipes.poke(netchildTarget, want, false))
		if got := <-heard; got != want {
			t.Errorf("%v came as %v", want, got)
		}
	}
	wantRefusal(t, h.pipes.poke(supervisorTarget, fault.Crash, false), "does not run\nhint: portward poke supervisor --start")
	wantRefusal(t, h.pipes.poke(agentTarget("7"), fault.Crash, false), "there is no gui/7/")
	wantRefusal(t, h.pipes.poke(rescueTarget, fault.Crash, false), "there is no ")
	mem.pids[agentTarget("501")] = 6
	check(t, h.pipes.poke(agentTarget("501"), fault.Crash, false))
}

// Rule: what a life did not live to read is not the next one's; what shall fail always
// does so in each life, until it is disarmed.
func TestPokeAlways(t *testing.T) {
	h, mem, opens := poked(t)
	f := opens()
	check(t, h.pipes.poke(netchildTarget, fault.Crash, false))
	mem.events <- jobs.Event{Kind: jobs.Exited, Target: netchildTarget}
	mem.events <- jobs.Event{Kind: jobs.Started, Target: netchildTarget}
	mem.events <- jobs.Event{Kind: jobs.Loaded, Target: netchildTarget} // by now it has heard the others
	if got := read(t, f, 8); got != "" {
		t.Errorf("the next life reads %q", got)
	}
	check(t, h.pipes.poke(netchildTarget, fault.Stop, true))
	for range 3 {
		if got := read(t, f, 8); got != "s" {
			t.Errorf("an armed life reads %q", got)
		}
		mem.events <- jobs.Event{Kind: jobs.Exited, Target: netchildTarget}
		mem.events <- jobs.Event{Kind: jobs.Started, Target: netchildTarget}
		mem.events <- jobs.Event{Kind: jobs.Loaded, Target: netchildTarget}
	}
	h.pipes.disarm(netchildTarget)
	mem.events <- jobs.Event{Kind: jobs.Started, Target: netchildTarget}
	mem.events <- jobs.Event{Kind: jobs.Loaded, Target: netchildTarget}
	if got := read(t, f, 8); got != "" {
		t.Errorf("a disarmed life reads %q", got)
	}
	mem.pids[netchildTarget] = 0
	check(t, h.pipes.poke(netchildTarget, fault.Crash, true)) // later ones shall
}

// Rule: who does not read is told of, and holds nobody up; what has ended holds no
// descriptor and no goroutine.
func TestPokeTheDeaf(t *testing.T) {
	before := goleak.IgnoreCurrent()
	h, _, _ := poked(t)
	var err error
	for range 1 << 20 {
		if err = h.pipes.poke(netchildTarget, fault.Crash, false); err != nil {
			break
		}
	}
	wantRefusal(t, err, "does not listen")
	h.pipes.close()
	h.pipes.close()
	wantRefusal(t, h.pipes.poke(netchildTarget, fault.Crash, false), "there is no ")
	goleak.VerifyNone(t, before)
}

// Rule: only a demonstration's jobs are told where such a FIFO is: no file of the
// product says so.
func TestPipesAreTheDemonstrations(t *testing.T) {
	h, _ := demo(t)
	must(h.open())(t)
	t.Cleanup(h.pipes.close)
	for _, label := range demoLabels() {
		data := string(must(os.ReadFile(h.plist(label)))(t))
		if named := strings.Contains(data, jobs.PipeVariable); named != (label != launchd.Rescue) {
			t.Errorf("%s: %v", label, named)
		}
	}
	for _, files := range []fs.FS{launchd.Files(), launchd.Optional()} {
		check(t, fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if data := must(fs.ReadFile(files, path))(t); strings.Contains(string(data), jobs.PipeVariable) {
				t.Errorf("the product's %s names a FIFO", path)
			}
			return nil
		}))
	}
}
