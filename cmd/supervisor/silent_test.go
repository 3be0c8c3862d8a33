package main

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"portward/internal/config"
	"portward/internal/evidence"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/watchdog"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// A silentEngine tells what launchd's engine does: which process there is, which life
// that is, and how it ended.
type silentEngine struct {
	jobs.Engine
	mu    sync.Mutex
	state jobs.State
	err   error
	tell  func(jobs.Event) // the supervisor's ear
}

func (e *silentEngine) State(context.Context, jobs.Target) (jobs.State, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state, e.err
}

func (e *silentEngine) Hold(context.Context, jobs.Target, time.Time) error { return nil }

// is makes another process netchild, or none, and tells of it.
func (e *silentEngine) is(pid int, last *jobs.Exit) {
	e.mu.Lock()
	defer e.mu.Unlock()
	exited := jobs.Event{Kind: jobs.Exited, Target: netchild, Life: e.state.Life, PID: e.state.PID, Exit: *cmp.Or(last, &jobs.Exit{})}
	if e.state.PID, e.state.Last = pid, last; pid != 0 {
		e.state.Life++
	}
	if tell := e.tell; tell != nil {
		if exited.PID != 0 {
			tell(exited)
		}
		if pid != 0 {
			tell(jobs.Event{Kind: jobs.Started, Target: netchild, Life: e.state.Life, PID: pid, Time: time.Now()})
		}
	}
}

// silent answers a supervisor over such an engine, its dog running, that waits
// for beats.
func silent(t *testing.T, e *silentEngine, edit func(*config.Config)) *supervisor {
	t.Helper()
	before := goleak.IgnoreCurrent()
	root := t.TempDir()
	store, err := evidence.Open(program.EvidenceDir(root), evidence.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(program.StatusPath(root)), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &supervisor{
		p: &program.Program{Root: root, Build: "test"}, cfg: config.Default(), engine: e, store: store,
		log: t.Logf, lives: map[watchdog.Life]*watched{}, beats: true,
	}
	if edit != nil {
		edit(&s.cfg)
	}
	s.public = true
	e.tell = func(ev jobs.Event) { s.event(context.Background(), ev) }
	ctx, cancel := context.WithCancel(context.Background())
	s.dog = watchdog.New(s.patience(), s.env(ctx))
	done := make(chan struct{})
	go func() { s.dog.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done; goleak.VerifyNone(t, before) })
	return s
}

// until polls the dog.
func until(t *testing.T, s *supervisor, what string, ok func(watchdog.Status) bool) watchdog.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		st, err := s.dog.Status(ctx)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok(st) {
			return st
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Rule: who checks in has the number that the engine gives its process, whatever it
// says itself, and is nobody if the engine has another process.
func TestLifeOf(t *testing.T) {
	e := &silentEngine{state: jobs.State{Target: netchild, PID: 10, Life: 7}}
	s := &supervisor{engine: e}
	if life, err := s.lifeOf(10); life != 7 || err != nil {
		t.Errorf("life %d, %v", life, err)
	}
	for _, pid := range []int{0, 11} {
		if _, err := s.lifeOf(pid); err == nil {
			t.Errorf("pid %d is somebody", pid)
		}
	}
	e.is(0, nil)
	if _, err := s.lifeOf(0); err == nil {
		t.Error("no process is somebody")
	}
}

// Rule: where no kernel watches, a life is told its number and asked for beats,
// and its end is learnt from the engine.
func TestSilentEngine(t *testing.T) {
	e := &silentEngine{state: jobs.State{Target: netchild, Status: jobs.Running}}
	s := silent(t, e, func(c *config.Config) { c.HangLimit = config.Duration(time.Hour) })
	e.is(os.Getpid(), nil)
	tr := xpcpeer.Mem()
	yes := func(*xpcpeer.Evidence) error { return nil }
	l, err := xpcpeer.Listen(tr, "door", xpcpeer.Config{Policy: yes, Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
		return xpcpeer.Events{Message: s.message, Invalid: s.gone}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	in := wire.CheckIn{Build: "x", Min: wire.VersionMin, Max: wire.VersionMax}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var conns []*xpcpeer.Conn
	for range 2 { // once more, as one whose answer came too late
		c := xpcpeer.Dial(tr, "door", xpcpeer.Config{Policy: yes})
		t.Cleanup(func() { c.Close(); <-c.Done() })
		conns = append(conns, c)
		d, err := c.Call(ctx, in.Dict())
		if err != nil {
			t.Fatal(err)
		}
		terms, err := wire.ParseTerms(d)
		if err != nil || terms.Life != 1 || terms.Page.Object != nil || terms.Stacks.Object != nil || terms.HangLimit != time.Hour {
			t.Fatalf("terms %+v, %v", terms, err)
		}
		if err := c.Send(ctx, wire.Beat{}.Dict()); err != nil {
			t.Fatal(err)
		}
	}
	if st := until(t, s, "up", func(st watchdog.Status) bool { return st.State == watchdog.Up }); st.Life != 1 || st.Restarts != 0 {
		t.Errorf("status %+v", st)
	}
	if st, err := status.Read(program.StatusPath(s.p.Root)); err != nil || st.NetChild.PID != os.Getpid() {
		t.Errorf("published %+v, %v", st.NetChild, err)
	}
	e.is(0, &jobs.Exit{Code: 3})
	for _, c := range conns {
		c.Close()
		<-c.Done()
	}
	st := until(t, s, "down", func(st watchdog.Status) bool { return st.State == watchdog.Down })
	if st.Last.Class != watchdog.Crash || st.Last.Text != "exit status 3" || st.Last.Life != 1 {
		t.Errorf("verdict %+v", st.Last)
	}
}

// Rule: where a successor checks in before the news of the last life's end, that end
// is waited for, so that its verdict says how it was.
func TestSilentSuccessorIsFaster(t *testing.T) {
	e := &silentEngine{state: jobs.State{Target: netchild, Status: jobs.Running}}
	s := silent(t, e, func(c *config.Config) { c.HangLimit = config.Duration(time.Hour) })
	e.is(os.Getpid()+1, nil)
	life := watchdog.Life(1)
	if err := s.dog.CheckedIn(life); err != nil {
		t.Fatal(err)
	}
	hear := e.tell
	var late []jobs.Event
	e.tell = func(ev jobs.Event) { late = append(late, ev) }
	e.is(os.Getpid(), &jobs.Exit{Signal: int(syscall.SIGKILL)})
	e.tell = hear
	tr := xpcpeer.Mem()
	yes := func(*xpcpeer.Evidence) error { return nil }
	l, err := xpcpeer.Listen(tr, "door", xpcpeer.Config{Policy: yes, Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
		return xpcpeer.Events{Message: s.message, Invalid: s.gone}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := xpcpeer.Dial(tr, "door", xpcpeer.Config{Policy: yes})
	defer func() { c.Close(); <-c.Done() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Call(ctx, wire.CheckIn{Build: "x", Min: wire.VersionMin, Max: wire.VersionMax}.Dict()); err != nil {
		t.Fatal(err)
	}
	for _, ev := range late {
		hear(ev)
	}
	st := until(t, s, "the successor", func(st watchdog.Status) bool { return st.State == watchdog.Up && st.Life == life+1 })
	if st.Last.Life != life || st.Last.Class != watchdog.Crash || !strings.HasPrefix(st.Last.Text, "signal 9") {
		t.Errorf("verdict %+v", st.Last)
	}
	e.is(0, nil)
}

// Rule: a life that does not beat is asked for its last words first, and killed
// when it has none, or does not end of them.
func TestSilentHang(t *testing.T) {
	for name, script := range map[string]string{
		"it speaks":      `trap 'echo words; exit 2' QUIT; echo ready; while :; do sleep 0.01; done`,
		"it is stubborn": `trap '' QUIT; echo ready; while :; do sleep 0.01; done`,
	} {
		t.Run(name, func(t *testing.T) {
			child := exec.Command("/bin/sh", "-c", script)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			ready := make([]byte, len("ready\n"))
			if _, err := out.Read(ready); err != nil {
				t.Fatal(err)
			}
			e := &silentEngine{state: jobs.State{Target: netchild, Status: jobs.Running}}
			s := silent(t, e, func(c *config.Config) {
				c.HangLimit, c.HangGrace = config.Duration(100*time.Millisecond), config.Duration(300*time.Millisecond)
			})
			e.is(child.Process.Pid, nil)
			life := watchdog.Life(1)
			if err := s.dog.CheckedIn(life); err != nil {
				t.Fatal(err)
			}
			var words bytes.Buffer
			words.ReadFrom(out)
			child.Wait()
			e.is(0, nil)
			st := until(t, s, "the verdict", func(st watchdog.Status) bool { return st.Last.Life == life })
			if st.Last.Class != watchdog.Deadlock || !strings.Contains(st.Last.Text, "no beat") {
				t.Errorf("verdict %+v", st.Last)
			}
			if how := child.ProcessState.Sys().(syscall.WaitStatus); name == "it speaks" {
				if words.String() != "words\n" || how.ExitStatus() != 2 {
					t.Errorf("%q, status %#x", words.String(), how)
				}
			} else if how.Signal() != syscall.SIGKILL {
				t.Errorf("status %#x", how)
			}
		})
	}
}

// Rule: what beats lives, and is killed as soon as it has not for too long.
func TestSilentBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &silentEngine{} // with no process to kill
		s := silent(t, e, nil)
		if err := s.dog.CheckedIn(1); err != nil {
			t.Fatal(err)
		}
		limit := time.Duration(s.cfg.HangLimit)
		for range 100 {
			time.Sleep(limit - time.Millisecond)
			s.dog.Beat(1)
		}
		if st := until(t, s, "an answer", func(watchdog.Status) bool { return true }); st.State != watchdog.Up || st.Last.Life != 0 {
			t.Errorf("status %+v", st)
		}
		time.Sleep(limit + time.Millisecond)
		if st := until(t, s, "an answer", func(watchdog.Status) bool { return true }); st.State != watchdog.Dying {
			t.Errorf("status %+v", st)
		}
	})
}

// Rule: nobody is killed whose pid is another life's.
func TestSilentKillsNoStranger(t *testing.T) {
	child := exec.Command("/bin/sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { child.Process.Kill(); child.Wait() }()
	e := &silentEngine{state: jobs.State{Target: netchild, PID: child.Process.Pid, Life: 2}}
	s := &supervisor{engine: e, log: t.Logf, beats: true}
	if err := s.kill(1); err != nil || s.struck != 0 {
		t.Errorf("an earlier number: %v", err)
	}
	if err := s.kill(2); err != nil || s.struck != 2 {
		t.Errorf("the life itself: %v", err)
	}
}

// Rule: lives that end before their check-in are judged and held like any others,
// though nobody saw a process of them.
func TestSilentEarlyDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &silentEngine{}
		s := silent(t, e, nil)
		for life := range s.cfg.FastDeaths {
			s.event(t.Context(), jobs.Event{Kind: jobs.Exited, Target: netchild, Life: uint64(life + 1), Exit: jobs.Exit{Code: 2}})
		}
		st := until(t, s, "an answer", func(watchdog.Status) bool { return true })
		if st.State != watchdog.Held || st.Tally != s.cfg.FastDeaths || st.Last.Class != watchdog.Crash ||
			!strings.HasPrefix(st.Last.Text, "exit status 2, before it had checked in") {
			t.Errorf("%+v", st)
		}
	})
}

// Rule: a life that was seen and does not check in is ended, and judged as that.
func TestSilentNeverReady(t *testing.T) {
	child := exec.Command("/bin/sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	e := &silentEngine{}
	s := silent(t, e, func(c *config.Config) {
		c.StartWithin, c.HangGrace = config.Duration(50*time.Millisecond), config.Duration(50*time.Millisecond)
	})
	e.is(child.Process.Pid, nil)
	child.Wait()
	e.is(0, nil)
	if st := until(t, s, "the verdict", func(st watchdog.Status) bool { return st.Last.Life == 1 }); st.Last.Class != watchdog.NeverReady {
		t.Errorf("verdict %+v", st.Last)
	}
}
