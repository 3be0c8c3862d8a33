package deadman

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portward/internal/page"
)

// The children of these tests are this binary again, told by an environment
// variable what to do. They inherit the stacks file as descriptor 3 and the
// progress page as 4.
const childEnv = "PORTWARD_TEST_DEADMAN"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		child(what)
		os.Exit(99)
	}
	goleak.VerifyTestMain(m)
}

// Who is to write its stacks gets time for it, whatever the load.
const testLimit = 1500 * time.Millisecond

func graceOf(what string) time.Duration {
	switch what {
	case "deadlock", "crowd", "livelock", "panic":
		return time.Minute
	}
	return testLimit / 3
}

func child(what string) {
	stacks := os.NewFile(3, "stacks")
	if err := debug.SetCrashOutput(stacks, debug.CrashOptions{}); err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
	stacks.Close() // the runtime has its own
	p, err := page.Open(os.NewFile(4, "page"), Words)
	if err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
	t, err := Arm(testLimit, graceOf(what), p)
	if err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
	switch what {
	case "deadlock":
		deadlock()
	case "crowd":
		for range 600 {
			go deep(20)
		}
		deadlock()
	case "livelock":
		for range runtime.GOMAXPROCS(0) { // no P is left idle
			go spin()
		}
		spin()
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "panic":
		panic("planted")
	case "beat":
		for began := time.Now(); time.Since(began) < 2*testLimit; time.Sleep(20 * time.Millisecond) {
			t.Beat()
		}
		os.Exit(0)
	case "disarm":
		t.Disarm()
		t.Beat()
		time.Sleep(2 * testLimit)
		os.Exit(0)
	case "rearm": // a second timer takes over before the first goes
		u, err := Arm(time.Hour, time.Hour, nil)
		if err != nil {
			os.Exit(98)
		}
		t.Disarm()
		u.Beat()
		time.Sleep(2 * testLimit)
		os.Exit(0)
	}
}

//go:noinline
func deadlock() {
	var mu sync.Mutex
	mu.Lock()
	go time.Sleep(time.Hour) // or else the runtime finds it itself
	mu.Lock()
}

func spin() {
	for n := 0; ; n++ {
		if n < 0 {
			return
		}
	}
}

//go:noinline
func deep(n int) {
	if n == 0 {
		select {}
	}
	deep(n - 1)
	runtime.KeepAlive(n)
}

// An end is what is known after a child's death.
type end struct {
	status   syscall.WaitStatus
	cpu      time.Duration
	age      time.Duration // since the last beat
	progress Progress
	stacks   string
}

func run(t *testing.T, what string) end {
	t.Helper()
	stacks, err := NewStacks()
	if err != nil {
		t.Fatal(err)
	}
	defer stacks.Close()
	p, err := page.New(Words)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+what, "GOTRACEBACK=all")
	cmd.ExtraFiles = []*os.File{stacks, p.File()}
	cmd.Stdout = &out
	cmd.Run() // a death by signal is an error here, and what we want
	e := end{
		status:   cmd.ProcessState.Sys().(syscall.WaitStatus),
		cpu:      cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		progress: Read(p),
	}
	e.age = Now() - e.progress.Beat
	text, err := Stacks(stacks)
	if err != nil {
		t.Fatal(err)
	}
	e.stacks = string(text)
	if out.Len() > 0 {
		t.Logf("child said: %s", out.Bytes())
	}
	if e.progress.Limit != testLimit || e.progress.Grace != graceOf(what) || e.progress.Items == 0 || e.progress.Beat == 0 {
		t.Errorf("page says %+v", e.progress)
	}
	return e
}

func (e end) diedSpeaking(t *testing.T, word string) {
	t.Helper()
	if e.status.ExitStatus() != 2 {
		t.Errorf("status %v, want exit 2", e.status)
	}
	if e.age < testLimit {
		t.Errorf("died %v after its last beat, before the limit", e.age)
	}
	if !strings.HasPrefix(e.stacks, "SIGQUIT: quit") || !strings.Contains(e.stacks, word) {
		t.Errorf("stacks lack %q:\n%.2000s", word, e.stacks)
	}
}

// Rule: who stands still writes its own stacks and dies.
func TestDeadlockDies(t *testing.T) {
	e := run(t, "deadlock")
	e.diedSpeaking(t, "deadman.deadlock")
	if used := e.cpu - e.progress.CPU; used > e.age/2 {
		t.Errorf("used %v of CPU time in %v, does not look like a deadlock", used, e.age)
	}
}

// With every P busy, too.
func TestLivelockDies(t *testing.T) {
	e := run(t, "livelock")
	e.diedSpeaking(t, "deadman.spin")
	if e.cpu <= e.progress.CPU {
		t.Errorf("CPU time %v at the end, %v at the last beat", e.cpu, e.progress.CPU)
	}
}

// Rule: who cannot speak dies all the same.
func TestStoppedDies(t *testing.T) {
	t.Parallel()
	e := run(t, "stop")
	if !e.status.Signaled() || e.status.Signal() != syscall.SIGKILL {
		t.Errorf("status %v, want SIGKILL", e.status)
	}
	if e.age < testLimit+graceOf("stop") || e.stacks != "" {
		t.Errorf("died after %v with stacks %q", e.age, e.stacks)
	}
}

// Rule: the kernel bounds what a dying process writes; it dies all the same.
func TestStacksOfACrowdAreBounded(t *testing.T) {
	e := run(t, "crowd")
	e.diedSpeaking(t, "deadman.deep")
	t.Logf("dead %v after the limit", e.age-testLimit)
	if n := len(e.stacks); n > MaxStacks || n < MaxStacks*3/4 {
		t.Errorf("%d bytes of stacks, want nearly %d", n, MaxStacks)
	}
}

// A panic exits with status 2 as well; its beat is fresh, and it says so.
func TestPanicIsNoHang(t *testing.T) {
	e := run(t, "panic")
	if e.status.ExitStatus() != 2 || !strings.HasPrefix(e.stacks, "panic: planted") {
		t.Errorf("status %v, stacks %.200q", e.status, e.stacks)
	}
}

// Rule: who gets something done lives.
func TestBeatingLives(t *testing.T) {
	t.Parallel()
	e := run(t, "beat")
	if e.status != 0 || e.stacks != "" {
		t.Errorf("status %#x, stacks %.500q", e.status, e.stacks)
	}
	if e.progress.Items < 10 || e.progress.CPU == 0 {
		t.Errorf("page says %+v, want many beats", e.progress)
	}
}

func TestDisarmedLives(t *testing.T) {
	for _, what := range []string{"disarm", "rearm"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if e := run(t, what); e.status != 0 {
				t.Errorf("status %#x, stacks %.500q", e.status, e.stacks)
			}
		})
	}
}
