package xpcpeer

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func evidenceOf(t *testing.T, pid, claimed int) *Evidence {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := newEvidence(&unix.Ucred{Pid: int32(claimed)}, fd)
	t.Cleanup(e.close)
	return e
}

// Rule: an executable is proven to be the peer's, or not given.
func TestExecutableNeedsProof(t *testing.T) {
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), "PORTWARD_TEST_ROLE=idle")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	alive := evidenceOf(t, child.Process.Pid, child.Process.Pid)
	f, err := alive.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	pidfd, ok := alive.PidFD()
	if !ok {
		t.Fatal("no descriptor")
	}
	pidfd.Close()
	stdin.Close()
	child.Wait()
	for name, e := range map[string]*Evidence{
		"of a process that ended":        alive,
		"of another number":              evidenceOf(t, os.Getpid(), os.Getppid()),
		"without a descriptor":           {PID: os.Getpid()},
		"whose descriptor was closed":    closed(evidenceOf(t, os.Getpid(), os.Getpid())),
		"of a descriptor of other kinds": {PID: os.Getpid(), pidfd: os.Stdin},
	} {
		if f, err := e.Executable(); !errors.Is(err, ErrNoProof) {
			t.Errorf("evidence %s: %v, %v", name, f, err)
		}
	}
}

func closed(e *Evidence) *Evidence {
	e.close()
	return e
}

// Rule: without SO_PEERPIDFD a descriptor is opened only while the peer is there.
func TestPidfdOfOldKernels(t *testing.T) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	fd := openPidfd(p[0], os.Getpid())
	e := newEvidence(&unix.Ucred{Pid: int32(os.Getpid())}, fd)
	f, err := e.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	e.close()
	unix.Close(p[1])
	for name, fd := range map[string]int{
		"a peer that is gone":     openPidfd(p[0], os.Getpid()),
		"a peer without a number": openPidfd(p[0], 0),
	} {
		if fd >= 0 {
			unix.Close(fd)
			t.Errorf("a descriptor of %s", name)
		}
	}
}
