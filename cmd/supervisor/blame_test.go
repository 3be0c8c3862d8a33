package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/evidence"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/update"
	"portward/internal/update/pipe"
	"portward/internal/watchdog"
)

func isFailure(err error) bool {
	f := (*update.Failure)(nil)
	return errors.As(err, &f)
}

// ended answers how a shell ends that runs this.
func ended(t *testing.T, script string) error {
	t.Helper()
	err := exec.Command("/bin/sh", "-c", script).Run()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err
}

// Rule: what the machine does to a child is not the release's fault; all else is.
func TestMachines(t *testing.T) {
	killed, crashed, again := ended(t, "kill -KILL $$"), ended(t, "kill -SEGV $$"), ended(t, fmt.Sprint("exit ", program.ExitAgain))
	for _, e := range []error{killed, syscall.EIO, syscall.EROFS, syscall.ENOSPC, syscall.EAGAIN} {
		if err := fmt.Errorf("start: %w", e); !program.MachineFailed(err) {
			t.Errorf("%v: the release is blamed", err)
		}
	}
	for _, e := range []error{nil, crashed, ended(t, "exit 1"), again, syscall.ENOEXEC, syscall.ENOENT, context.DeadlineExceeded} {
		if program.MachineFailed(e) {
			t.Errorf("%v: the machine is blamed", e)
		}
	}
	s := &supervisor{}
	if err := s.blameQualify("1", again); err == nil || isFailure(err) {
		t.Errorf("a supervisor that blames the machine: %v", err)
	}
	if err := s.blameQualify("1", crashed); !isFailure(err) {
		t.Errorf("a supervisor that crashes: %v", err)
	}
}

// Rule: only the third time in a row that a release takes too long is its fault.
func TestSlowToQualify(t *testing.T) {
	s, slow := &supervisor{}, fmt.Errorf("took too long: %w", context.DeadlineExceeded)
	for i, c := range []struct {
		version string
		err     error
		fails   bool
	}{
		{"1", slow, false}, {"1", slow, false}, {"1", syscall.EIO, false},
		{"1", slow, false}, {"1", slow, false}, {"2", slow, false},
		{"1", slow, false}, {"1", nil, false}, {"1", slow, false}, {"1", slow, false}, {"1", slow, true},
	} {
		if err := s.blameQualify(c.version, c.err); isFailure(err) != c.fails || (err == nil) != (c.err == nil) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// Rule: a release is blamed for the lives that began in it, and for no engine
// that is silent.
func TestBlameStart(t *testing.T) {
	before := watchdog.Life(7)
	crash := watchdog.Verdict{Life: 8, Class: watchdog.Crash}
	for name, c := range map[string]struct {
		err   error
		last  watchdog.Verdict
		fails bool
	}{
		"its life crashed":           {errors.New("life 8 ended"), crash, true},
		"it is no program":           {fmt.Errorf("%w: exec format error", jobs.ErrStart), watchdog.Verdict{}, true},
		"the life before crashed":    {errors.New("gone"), watchdog.Verdict{Life: 7, Class: watchdog.Crash}, false},
		"no life is known":           {context.DeadlineExceeded, watchdog.Verdict{}, false},
		"somebody asked":             {errors.New("life 8 ended"), watchdog.Verdict{Life: 8, Class: watchdog.Asked}, false},
		"the machine stood still":    {errors.New("life 8 ended"), watchdog.Verdict{Life: 8, Class: watchdog.Stall}, false},
		"no process can be had":      {fmt.Errorf("%w: %w", jobs.ErrStart, syscall.EAGAIN), watchdog.Verdict{}, false},
		"the engine does not answer": {syscall.EPIPE, watchdog.Verdict{}, false},
	} {
		if err := (&supervisor{}).blameStart(c.err, before, c.last); err == nil || isFailure(err) != c.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := (&supervisor{beats: true}).blameStart(context.DeadlineExceeded, before, watchdog.Verdict{})
	if f := (*update.Failure)(nil); !errors.As(err, &f) || !f.Doubt {
		t.Errorf("it never checks in, and no engine tells of starts: %v", err)
	}
}

// Rule: a supervisor that waits for a part of a trial gives its sign of life,
// with the latest health, for as long as its own loop answers, and no longer.
func TestSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var blocked, told atomic.Int64
		dog := watchdog.New(watchdog.Config{StartWithin: time.Second, Healthy: time.Second, LostWithin: time.Second, FastDeaths: 3, Backoff: update.Config{}.Backoff}, watchdog.Env{
			Report: func(watchdog.Status) { time.Sleep(time.Duration(blocked.Load())) },
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &supervisor{dog: dog, log: t.Logf}
		var health atomic.Int64
		step := update.TrialStep{Healthy: func(d time.Duration) { told.Add(1); health.Store(int64(d) + 1) }}
		part := func(ctx context.Context) error { time.Sleep(10 * time.Second); return errors.New("over") }
		run := make(chan error, 1)
		if err := s.attend(ctx, step, &health, part); err == nil || told.Load() != 0 {
			t.Errorf("a dead loop gave %d signs of life: %v", told.Load(), err)
		}
		go func() { run <- dog.Run(ctx) }()
		if err := s.attend(ctx, step, &health, part); err == nil || told.Load() < 8 || health.Load() != told.Load() {
			t.Errorf("%d signs of life, health %d: %v", told.Load(), health.Load(), err)
		}
		cancel()
		<-run
	})
}

// Rule: a release that is denied again is told again, and after a restart no
// denial twice.
func TestHistory(t *testing.T) {
	root := t.TempDir()
	store, err := evidence.Open(program.EvidenceDir(root), evidence.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	first := status.Denied{Hash: "abc", Version: "2.0.0", Why: "crash", Time: time.Now()}
	second := first
	second.Time = second.Time.Add(time.Nanosecond)
	for _, denied := range [][]status.Denied{{first}, {first}, {second}, {first, second}} {
		(&history{store: store, log: t.Logf}).see(status.Payload{Denied: denied})
	}
	h := &history{store: store, log: t.Logf}
	for range 2 {
		h.see(status.Payload{Hash: "def", Trial: &status.Trial{Hash: "def"}})
		h.see(status.Payload{Hash: "def"})
	}
	list, _, err := evidence.List(program.EvidenceDir(root))
	classes := map[string]int{}
	for _, r := range list {
		classes[r.Class]++
	}
	if err != nil || classes["denied"] != 2 || classes["committed"] != 2 {
		t.Errorf("%v: %v", classes, err)
	}
}

// Rule: metadata that is taken from a repository fits into a bundle.
func TestBundleHoldsTheLargestTargets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), bundle.Name)
	if _, err := bundle.Build(dir, map[string]string{"x": "/bin/sh"}, fstest.MapFS{}, "1.0.0", nil); err != nil {
		t.Fatal(err)
	}
	tuf := bundle.Layout(dir).Tuf()
	err := errors.Join(durable.MkdirAll(tuf, 0o755), durable.Write(filepath.Join(tuf, "targets.json"), bytes.Repeat([]byte("x"), pipe.MaxGet), 0o644))
	if err == nil {
		_, err = bundle.Verify(dir)
	}
	if err != nil {
		t.Error(err)
	}
}

// Rule: a job's file lies where the machine's start finds it exactly as long as
// that is wanted, however often and in whatever order; and nowhere where nobody looks.
func TestAtBoot(t *testing.T) {
	dir := t.TempDir()
	plist := filepath.Join(t.TempDir(), "dev.x.plist")
	if err := os.WriteFile(plist, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, on := range []bool{false, true, true, false, false, true} {
		err := errors.Join(atBoot(dir, plist, on), atBoot("", plist, on))
		data, missing := os.ReadFile(filepath.Join(dir, "dev.x.plist"))
		if err != nil || on != (string(data) == "one") || on != (missing == nil) {
			t.Errorf("%d: %v; %q, %v", i, err, data, missing)
		}
	}
	if err := atBoot(dir, filepath.Join(dir, "none"), true); err == nil {
		t.Error("what is not there was put there")
	}
	if data, err := os.ReadFile(plist); string(data) != "one" {
		t.Errorf("the file itself is %q, %v", data, err)
	}
}

// An engine whose job ends some looks after it was killed, or never.
type stubborn struct {
	jobs.Engine
	state jobs.State
	looks int // after the kill
	child *exec.Cmd
}

func (e *stubborn) State(context.Context, jobs.Target) (jobs.State, error) {
	if e.child.Process.Signal(syscall.Signal(0)) == nil {
		return e.state, nil
	}
	if e.looks--; e.looks >= 0 {
		return e.state, nil
	}
	return jobs.State{}, nil
}

// Rule: what had to be killed is waited for.
func TestKilledIsWaitedFor(t *testing.T) {
	child := exec.Command("/bin/sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	go child.Wait()
	e := &stubborn{state: jobs.State{Target: netchild, PID: child.Process.Pid, Life: 1}, looks: 3, child: child}
	s := &supervisor{engine: e, log: t.Logf}
	if err := s.awaitEnd(t.Context(), e.state, time.Now()); err != nil || e.looks >= 0 {
		t.Errorf("%d more looks were needed: %v", e.looks+1, err)
	}
}

// Rule: a netchild that somebody else killed is in doubt; one that we killed, or
// that its own timers did, is not, nor is another life.
func TestKilledFromOutside(t *testing.T) {
	store, err := evidence.Open(t.TempDir(), evidence.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	kill := watchdog.Death{Exit: &watchdog.Exit{Signal: int(syscall.SIGKILL)}}
	segv := watchdog.Death{Exit: &watchdog.Exit{Signal: int(syscall.SIGSEGV)}}
	late := watchdog.Death{Class: watchdog.NeverReady, Exit: kill.Exit}
	for name, c := range map[string]struct {
		death   watchdog.Death
		verdict watchdog.Verdict
		struck  watchdog.Life
		doubt   bool
	}{
		"killed":                 {kill, watchdog.Verdict{Life: 3, Class: watchdog.Crash}, 0, true},
		"killed by us":           {kill, watchdog.Verdict{Life: 3, Class: watchdog.Crash}, 3, false},
		"killed by its timers":   {kill, watchdog.Verdict{Life: 3, Class: watchdog.Stopped}, 0, false},
		"another was killed":     {kill, watchdog.Verdict{Life: 4, Class: watchdog.Crash}, 0, false},
		"it fell":                {segv, watchdog.Verdict{Life: 3, Class: watchdog.Crash}, 0, false},
		"it was late":            {late, watchdog.Verdict{Life: 3, Class: watchdog.NeverReady}, 0, false},
		"no exit was told of it": {watchdog.Death{}, watchdog.Verdict{Life: 3, Class: watchdog.Crash}, 0, false},
	} {
		s := &supervisor{store: store, log: t.Logf, struck: c.struck}
		s.witness(3, c.death)
		f := (*update.Failure)(nil)
		if err := s.failure(c.verdict); !errors.As(err, &f) || f.Doubt != c.doubt {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Rule: a life that we told to end is no crash, unless it ended otherwise; nor
// does one that was ended so, checked in or not, put a release in doubt.
func TestToldToEnd(t *testing.T) {
	store, err := evidence.Open(t.TempDir(), evidence.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		told jobs.State
		exit watchdog.Exit
		want watchdog.Class
	}{
		"it went":              {jobs.State{Life: 3}, watchdog.Exit{}, watchdog.Asked},
		"it did not hear":      {jobs.State{Life: 3}, watchdog.Exit{Signal: int(syscall.SIGKILL)}, watchdog.Asked},
		"it fell meanwhile":    {jobs.State{Life: 3}, watchdog.Exit{Signal: int(syscall.SIGSEGV)}, watchdog.Crash},
		"it failed meanwhile":  {jobs.State{Life: 3}, watchdog.Exit{Code: 1}, watchdog.Crash},
		"another one was told": {jobs.State{Life: 4}, watchdog.Exit{}, watchdog.Crash},
	} {
		s := &supervisor{store: store, log: t.Logf}
		s.ended(c.told)
		ev := s.witness(3, watchdog.Death{Exit: &c.exit})
		if ev.Class != c.want || s.killed != 0 {
			t.Errorf("%s: %v, killed %d", name, ev.Class, s.killed)
		}
	}
}

// Rule: what counts as a crash is written down as one, and of a life that had not
// checked in that is said; what is known better stays.
func TestWitnessWritesWhatCounts(t *testing.T) {
	store, err := evidence.Open(t.TempDir(), evidence.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	early := ", before it had checked in with this supervisor"
	for i, c := range []struct {
		death      watchdog.Death
		checkedIn  bool
		class, say string
	}{
		{watchdog.Death{Text: "exit status 1", Exit: &watchdog.Exit{Code: 1}}, false, "crash", "exit status 1" + early},
		{watchdog.Death{Text: "gone without an exit report"}, false, "crash", "gone without an exit report" + early},
		{watchdog.Death{Text: "exit status 3", Exit: &watchdog.Exit{Code: 3}}, true, "crash", "exit status 3"},
		{watchdog.Death{Class: watchdog.Idle, Text: "idle"}, true, "idle", "idle"},
		{watchdog.Death{Text: "exit status 0 without a goodbye", Exit: &watchdog.Exit{}}, false, "crash", "exit status 0 without a goodbye" + early},
		{watchdog.Death{Class: watchdog.NeverReady, Text: "late"}, false, "never-ready", "late"},
	} {
		life := watchdog.Life(i + 1)
		s := &supervisor{store: store, log: t.Logf, lives: map[watchdog.Life]*watched{}}
		if c.checkedIn {
			s.lives[life] = &watched{} // one that beats: nothing is known of its progress
		}
		c.death.At, c.death.Uptime = time.Now(), time.Duration(i)*time.Second
		ev := s.witness(life, c.death)
		if ev.Class.String() != c.class || ev.Text != c.say {
			t.Errorf("%d: evidence %+v", i, ev)
		}
		list, _ := store.List()
		if r := list[len(list)-1]; r.Class != c.class || r.Text != c.say || r.Uptime != c.death.Uptime || r.Life != uint64(life) {
			t.Errorf("%d: written down: %+v", i, r)
		}
	}
}

// Rule: why an attempt to take a release came to nothing is told once in the log,
// and again when it is another reason, or came back after a success.
func TestFailedAttemptsAreLogged(t *testing.T) {
	var said []string
	s := &supervisor{history: &history{log: t.Logf}, log: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	for _, e := range []string{"", "offline", "offline", "a bad signature", "offline", "", "", "offline"} {
		s.reportPayload(status.Payload{State: status.Installed, Error: e})
	}
	want := []string{"the last attempt: offline", "the last attempt: a bad signature", "the last attempt: offline", "the last attempt: offline"}
	if !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

// Rule: a fetcher ends with its check, also one whose children hold its pipes, and
// neither reads nor answers.
func TestFetcherEndsWithItsCheck(t *testing.T) {
	s := &supervisor{p: &program.Program{Root: t.TempDir()}, log: t.Logf}
	if s.cfg.Update.FetchUID = 65534; os.Geteuid() != 0 {
		s.cfg.Update.FetchUID = 0
	}
	path := bundle.Layout(program.BundleDir(s.p.Root)).Program("portward")
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Chmod(filepath.Dir(s.p.Root), 0o755),
		os.WriteFile(path, []byte("#!/bin/sh\nsleep 3 & wait\n"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(*pipe.Client) error{
		"it does not answer": func(c *pipe.Client) error { _, err := c.Get("x", 1, ""); return err },
		"it does not read": func(c *pipe.Client) error {
			_, err := c.Prepare(pipe.Want{Name: string(make([]byte, 200_000))})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		c, end, err := s.startFetcher(ctx)
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan error, 1)
		go func() { asked <- ask(c) }()
		cancel()
		if err := <-asked; err == nil {
			t.Errorf("%s: an answer", name)
		}
		if err := end(); err == nil {
			t.Errorf("%s: it ended in order", name)
		}
	}
}

// Rule: a fetcher that cannot be started leaves no descriptor behind.
func TestFetcherThatCannotStart(t *testing.T) {
	s := &supervisor{p: &program.Program{Root: t.TempDir()}, log: t.Logf}
	s.cfg.Update.FetchUID = 65534
	before := openFiles(t)
	for range 3 {
		if c, end, err := s.startFetcher(t.Context()); err == nil || c != nil || end != nil {
			t.Fatal("it was started")
		}
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d descriptors became %d", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
