package xpcpeer

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// executable is Evidence.Executable: ask the pidfd, open, ask the pidfd again.
// While it names the number, the number cannot belong to another process.
func executable(e *Evidence) (*os.File, error) {
	if e.pidfd == nil {
		return nil, ErrNoProof
	}
	if err := e.stillNamed(); err != nil {
		return nil, err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/exe", e.PID))
	if err != nil {
		return nil, err
	}
	if err := e.stillNamed(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// stillNamed says no if the pidfd's process was reaped, or is not PID.
func (e *Evidence) stillNamed() error {
	pid, err := pidOf(e.pidfd)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	if pid != e.PID || pid <= 0 {
		return fmt.Errorf("%w: it names process %d", ErrNoProof, pid)
	}
	return nil
}

// pidOf reads the number of a pidfd's process; -1 once it was reaped (proc_pid_fdinfo(5)).
func pidOf(pidfd *os.File) (int, error) {
	var info []byte
	err := withFD(pidfd, func(fd int) (err error) {
		info, err = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		return err
	})
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(info)); s.Scan(); {
		if rest, ok := bytes.CutPrefix(s.Bytes(), []byte("Pid:")); ok {
			return strconv.Atoi(string(bytes.TrimSpace(rest)))
		}
	}
	return 0, fmt.Errorf("not a process descriptor")
}

// peerEvidence is the evidence of the process that connected (unix(7)).
func peerEvidence(socket int) (*Evidence, error) {
	c, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	pidfd, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err != nil {
		pidfd = openPidfd(socket, int(c.Pid))
	} else {
		unix.CloseOnExec(pidfd)
	}
	return newEvidence(c, pidfd), nil
}

// senderEvidence is the evidence of the process that sent a packet; pidfd is
// what came as SCM_PIDFD, or negative.
func senderEvidence(socket int, c *unix.Ucred, pidfd int) *Evidence {
	if pidfd < 0 {
		pidfd = openPidfd(socket, int(c.Pid))
	}
	return newEvidence(c, pidfd)
}

func newEvidence(c *unix.Ucred, pidfd int) *Evidence {
	e := &Evidence{PID: int(c.Pid), UID: c.Uid, GID: c.Gid}
	if pidfd >= 0 {
		e.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return e
}

// openPidfd is the way of kernels before 6.5: by number, and only if the
// socket's other end is still open afterwards. Negative if there is none.
func openPidfd(socket, pid int) int {
	if pid <= 0 {
		return -1
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	if hungUp(socket) {
		unix.Close(pidfd)
		return -1
	}
	return pidfd
}

func hungUp(socket int) bool {
	p := []unix.PollFd{{Fd: int32(socket), Events: unix.POLLRDHUP}}
	_, err := unix.Poll(p, 0)
	return err != nil || p[0].Revents&(unix.POLLHUP|unix.POLLRDHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// ownEvidence is what a peer inside this process looks like.
func ownEvidence() *Evidence {
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		pidfd = -1
	}
	return newEvidence(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}, pidfd)
}
