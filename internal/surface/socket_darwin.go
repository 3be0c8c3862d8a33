package surface

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kernel's send looks at MSG_NBIO where its receive looks at MSG_DONTWAIT
// too (xnu, bsd/kern/uipc_socket.c); the name is not in the public header.
const (
	msgNBIO   = 0x20000
	sendFlags = unix.MSG_DONTWAIT | msgNBIO
)

// pairCloexec holds back forks meanwhile, since no flag closes on exec.
func pairCloexec(kind int) ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	if err != nil {
		return fds, err
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		err = errors.Join(err, unix.SetNonblock(fd, true), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1))
	}
	if err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
	return fds, err
}
