//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"portward/bench/talk"
)

// startBlocking is what Go can do without its poller: a thread that waits in the
// kernel, as the floor's does.
func startBlocking(options) (drill, *exec.Cmd, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return drill{}, nil, err
	}
	other := os.NewFile(uintptr(fds[1]), "socket")
	defer other.Close()
	peer, err := talk.Other(other)
	var b [packetSize]byte
	return drill{many: func(n int) ([]float64, error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return talk.Each(func() (time.Duration, error) {
			began := time.Now()
			if _, err := unix.Write(fds[0], b[:]); err != nil {
				return 0, err
			}
			_, err := readRetrying(fds[0], b[:])
			return time.Since(began), err
		})(n)
	}}, peer, err
}

func serveBlocking(options) error {
	runtime.LockOSThread()
	const fd = 3
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	var b [packetSize]byte
	for {
		n, err := readRetrying(fd, b[:])
		if err != nil || n == 0 {
			return fmt.Errorf("%d bytes: %w", n, err)
		}
		if _, err := unix.Write(fd, b[:n]); err != nil {
			return err
		}
	}
}

// readRetrying is read(2), which the runtime's signals may interrupt.
func readRetrying(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}
