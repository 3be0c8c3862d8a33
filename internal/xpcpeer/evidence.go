package xpcpeer

import (
	"errors"
	"fmt"
	"os"
)

// ErrNoProof is wrapped when the kernel cannot prove which process is meant.
var ErrNoProof = errors.New("no process descriptor of the peer")

// Evidence is what the kernel says about the process at the other end.
//
// Of a client it was recorded at its connect(2): SO_PEERCRED, effective ids
// (unix(7)). Of a server, whose listening socket may have been made and be held
// by another process, it came with the server's first packet: SCM_CREDENTIALS,
// real ids unless the server attached others of its own.
// In both cases a process that later executes another program, or hands its
// socket on, still shows the same evidence.
//
// Over XPC it is what libxpc says of the sender of the hello or the welcome:
// effective ids. Numbers prove nothing there, and Executable answers ErrNoProof;
// the proof is Config.Requirement, which the system checks for the sender of
// every message by its audit token.
type Evidence struct {
	PID      int // in our PID namespace; 0 if the process is outside of it
	UID, GID uint32

	pidfd *os.File // closed with the connection; nil where the kernel gives none
}

// PidFD answers a new descriptor of the peer's process (pidfd_open(2)), which
// the caller closes, or false where there is none. It comes from SO_PEERPIDFD
// or SCM_PIDFD (Linux 6.5); on older kernels it was opened by number while the
// connection was seen to be alive, which is weaker.
func (e *Evidence) PidFD() (*os.File, bool) {
	if e.pidfd == nil {
		return nil, false
	}
	f, err := dupFile(e.pidfd)
	return f, err == nil
}

// Executable opens the file that the peer's process runs, /proc/PID/exe, for
// reading. The process descriptor is asked before and after: the number named
// the same process all along. Other users' processes answer fs.ErrPermission
// to the unprivileged; ErrNoProof means no descriptor, or a process that ended.
// Systems other than Linux have no proof.
func (e *Evidence) Executable() (*os.File, error) {
	f, err := executable(e)
	if err != nil {
		return nil, &Error{"executable of", e.String(), err}
	}
	return f, nil
}

func (e *Evidence) close() {
	if e != nil && e.pidfd != nil {
		e.pidfd.Close()
	}
}

// String names the process for people.
func (e *Evidence) String() string {
	return fmt.Sprintf("process %d of uid %d", e.PID, e.UID)
}
