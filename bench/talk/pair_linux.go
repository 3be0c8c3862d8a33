package talk

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Other starts the other half of a contestant: the same program with the same
// arguments and -other, and files from its descriptor 3 on. It dies with this
// process.
func Other(files ...*os.File) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", append(os.Args[1:len(os.Args):len(os.Args)], "-other")...)
	cmd.ExtraFiles, cmd.Stderr = files, os.Stderr
	return cmd, StartTied(cmd)
}

// StartTied starts a process that dies with this one. PDEATHSIG looks at the thread
// that forked (prctl(2)), so that thread is kept, and no other work is done on it.
func StartTied(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			select {}
		}
	}()
	return <-started
}

// Inherited is a descriptor that Other passed on.
func Inherited(i int, name string) *os.File { return os.NewFile(uintptr(3+i), name) }

// End kills the other half: what it answered is all that was wanted of it.
func End(peer *exec.Cmd) {
	if peer != nil {
		peer.Process.Kill()
		peer.Wait()
	}
}

// CPUTime is what the processes used of the processors so far; 0 is this one.
func CPUTime(pids ...int) (sum time.Duration, err error) {
	for _, pid := range pids {
		var ts unix.Timespec
		if err := unix.ClockGettime(cpuClock(pid), &ts); err != nil {
			return 0, err
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// cpuClock is what clock_getcpuclockid(3) answers, as the kernel reads it.
func cpuClock(pid int) int32 { return int32(^pid)<<3 | 2 }
