package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tree answers a process and all its descendants, parents first.
func tree(root int) []int {
	children := map[int][]int{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		// The name may hold spaces and parentheses; the state and the parent follow it.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// killTree kills from the root on, so that nobody is left to start what was killed
// before. Descriptors keep it from processes that were not there at the beginning.
func killTree(root int) {
	var fds []int
	for _, pid := range tree(root) {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	for _, fd := range fds {
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		unix.Close(fd)
	}
}

// comm is a process's name, "" when it is gone.
func comm(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}

// A victim is a process whose end is waited for.
type victim struct{ fd int }

func watch(pid int) (victim, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return victim{}, fmt.Errorf("pid %d: %w", pid, err)
	}
	return victim{fd}, nil
}

// signal answers the time just before the signal was sent.
func (v victim) signal(sig unix.Signal) (time.Duration, error) {
	at := now()
	return at, unix.PidfdSendSignal(v.fd, sig, nil, 0)
}

// died waits for the end and answers when it was seen.
func (v victim) died(ctx context.Context) (time.Duration, error) {
	return readable(ctx, v.fd)
}

func (v victim) close() { unix.Close(v.fd) }

// readable waits until poll(2) has something to say about fd and answers when that was.
func readable(ctx context.Context, fd int) (time.Duration, error) {
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 200)
		at := now()
		switch {
		case n > 0:
			return at, nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return 0, err
		}
	}
	return 0, ctx.Err()
}

// sleep answers early, with ctx's error, when that ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
