package linux

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A timer sends its signal to the process, once, and not after it was disarmed.
func TestTimer(t *testing.T) {
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGUSR2)
	defer signal.Stop(got)
	id, err := TimerCreate(unix.CLOCK_MONOTONIC, syscall.SIGUSR2)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []time.Duration{time.Hour, 0, time.Millisecond} {
		if err := TimerSettime(id, d); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-got:
	case <-time.After(20 * time.Second):
		t.Fatal("no signal")
	}
	if err := TimerDelete(id); err != nil {
		t.Fatal(err)
	}
	if err := TimerSettime(id, time.Hour); !errors.Is(err, unix.EINVAL) {
		t.Errorf("settime of a deleted timer: %v, want EINVAL", err)
	}
	if err := TimerDelete(id); !errors.Is(err, unix.EINVAL) {
		t.Errorf("second delete: %v, want EINVAL", err)
	}
	if len(got) > 0 {
		t.Error("the signal came twice")
	}
}

func TestTimerCreateRefuses(t *testing.T) {
	if _, err := TimerCreate(9999, syscall.SIGUSR2); err == nil {
		t.Error("no such clock, no error")
	}
	if _, err := TimerCreate(unix.CLOCK_MONOTONIC, 9999); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no such signal: %v, want EINVAL", err)
	}
}

// The words are the mapping's own memory; a tail is left out.
func TestWords(t *testing.T) {
	mem, err := unix.Mmap(-1, 0, 20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	words := Words(mem)
	if len(words) != 2 {
		t.Fatalf("%d words in 20 bytes, want 2", len(words))
	}
	words[1] = 0x0102030405060708
	if mem[8]+mem[15] != 0x08+0x01 || mem[11]+mem[12] != 0x05+0x04 {
		t.Errorf("memory is % x", mem)
	}
	if Words(mem[:7]) != nil || Words(nil) != nil {
		t.Error("words in less than one")
	}
}

// Rule: after NoChildren this process makes threads and no processes, in whatever
// way it tries. The test's program tries it in a process of its own.
func TestNoChildren(t *testing.T) {
	if os.Getenv("PORTWARD_LINUX_ALONE") == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestNoChildren$", "-test.v")
		cmd.Env = append(os.Environ(), "PORTWARD_LINUX_ALONE=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestNoChildren") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	for range 2 { // the second filter changes nothing
		if err := NoChildren(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := syscall.ForkExec("/bin/true", []string{"true"}, nil); !errors.Is(err, unix.EPERM) {
		t.Errorf("fork and exec: %v", err)
	}
	for name, call := range map[string]uintptr{"clone": unix.SYS_CLONE, "clone3": unix.SYS_CLONE3} {
		want := map[string]error{"clone": unix.EPERM, "clone3": unix.ENOSYS}[name]
		if pid, _, errno := syscall.RawSyscall(call, uintptr(unix.SIGCHLD), 0, 0); errno != want {
			if pid == 0 && errno == 0 {
				os.Exit(1) // a child that must not be
			}
			t.Errorf("%s: %v, want %v", name, errno, want)
		}
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			runtime.LockOSThread() // and end the thread with the goroutine
			unix.Nanosleep(&unix.Timespec{Nsec: 20_000_000}, nil)
		})
	}
	all.Wait()
}
