package jobs

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

func newHost() (host, error) {
	p, err := newPoller()
	if err != nil {
		return host{}, err
	}
	s := &starter{}
	return host{
		pin: s.pin, start: s.start,
		poll: p.add, unpoll: p.remove, ready: p.ready, close: p.close,
	}, nil
}

// starter is the thread that makes every start.
type starter struct {
	unshared error // why this thread cannot have an umask of its own
}

// pin binds the calling goroutine to its thread for good: when the goroutine
// ends, the thread does. CLONE_FS gives the thread a umask of its own (umask(2)
// is otherwise the whole process's); where a sandbox forbids it, only jobs with
// a Umask suffer.
func (s *starter) pin() {
	runtime.LockOSThread()
	s.unshared = unix.Unshare(unix.CLONE_FS)
}

// start forks from the pinned thread. In the child, in this order (see
// syscall.forkAndExecInChild1): process group, groups, gid, uid, directory,
// death signal; the last after the uid, whose change would clear it (prctl(2)).
func (s *starter) start(l *launch) (process, error) {
	fds := make([]uintptr, len(l.files))
	for i, f := range l.files {
		n, err := descriptor(f)
		if err != nil {
			return nil, fmt.Errorf("descriptor %d: %w", i, err)
		}
		fds[i] = uintptr(n)
	}
	restore, err := s.umask(l.umask)
	if err != nil {
		return nil, err
	}
	defer restore()
	pidfd := -1
	sys := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd}
	if l.user != nil {
		sys.Credential = &syscall.Credential{Uid: l.user.uid, Gid: l.user.gid}
	}
	pid, _, err := syscall.StartProcess(l.program, l.argv, &syscall.ProcAttr{Dir: l.dir, Env: l.env, Files: fds, Sys: sys})
	runtime.KeepAlive(l.files)
	if err != nil {
		return nil, l.explain(err)
	}
	return &child{id: pid, pidfd: pidfd, group: !l.abandon}, nil
}

func (s *starter) umask(mask *int) (restore func(), err error) {
	if mask == nil {
		return func() {}, nil
	}
	if s.unshared != nil {
		return nil, fmt.Errorf("umask: %w", s.unshared)
	}
	old := unix.Umask(*mask)
	return func() { unix.Umask(old) }, nil
}

// explain finds out which of the two paths was meant: the error does not say.
func (l *launch) explain(err error) error {
	if info, dirErr := os.Stat(l.dir); dirErr != nil || !info.IsDir() {
		return &os.PathError{Op: "chdir", Path: l.dir, Err: err}
	}
	return &os.PathError{Op: "exec", Path: l.program, Err: err}
}
