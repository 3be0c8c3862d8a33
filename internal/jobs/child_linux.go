package jobs

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is one started process. Until it is reaped its number, and the number
// of its group, belong to it: signals are sent and the reaping is done under one
// lock, so none can ever reach a stranger.
type child struct {
	id    int
	pidfd int // -1 where the kernel has none
	group bool

	mu     sync.Mutex
	reaped bool
}

func (c *child) pid() int { return c.id }

func (c *child) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		c.send(sig)
	}
}

func (c *child) send(sig syscall.Signal) {
	if c.group {
		unix.Kill(-c.id, sig)
	} else {
		unix.Kill(c.id, sig)
	}
}

// wait leaves the dead process unreaped until its group is killed: a zombie
// keeps the group's number from being used again.
func (c *child) wait() Exit {
	c.await()
	exit := c.reap()
	if c.group {
		awaitGroup(c.id)
	}
	return exit
}

// await returns when the process has ended.
func (c *child) await() {
	kind, id := unix.P_PID, c.id
	if c.pidfd >= 0 {
		kind, id = unix.P_PIDFD, c.pidfd
	}
	for unix.Waitid(kind, id, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

func (c *child) reap() Exit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.group {
		c.send(unix.SIGKILL)
	}
	var status unix.WaitStatus
	var used unix.Rusage
	for {
		if _, err := unix.Wait4(c.id, &status, 0, &used); err != unix.EINTR {
			break
		}
	}
	c.reaped = true
	if c.pidfd >= 0 {
		unix.Close(c.pidfd)
	}
	exit := Exit{CPU: time.Duration(used.Utime.Nano() + used.Stime.Nano())}
	if status.Signaled() {
		exit.Signal = int(status.Signal())
	} else {
		exit.Code = status.ExitStatus()
	}
	return exit
}

// groupLimit is how long the rest of a killed group may take to vanish.
const groupLimit = 5 * time.Second

// awaitGroup returns when the killed group has no member that could still do
// something. Signal 0 harms nobody, should the number have been given away.
// Members are not our children: where nobody reaps them they stay zombies.
func awaitGroup(pgid int) {
	pause := time.Millisecond
	for end := time.Now().Add(groupLimit); time.Now().Before(end); pause = min(2*pause, 50*time.Millisecond) {
		if unix.Kill(-pgid, 0) == unix.ESRCH || !groupAlive(pgid) {
			return
		}
		time.Sleep(pause)
	}
}

// groupAlive reads /proc/PID/stat (proc_pid_stat(5)): after the name in
// parentheses come state, parent and process group.
func groupAlive(pgid int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		f := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
		if len(f) > 2 && string(f[2]) == strconv.Itoa(pgid) && f[0][0] != 'Z' && f[0][0] != 'X' {
			return true
		}
	}
	return false
}
