package program

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Dup duplicates f for this process alone, fcntl(2) F_DUPFD_CLOEXEC.
func Dup(f *os.File) (*os.File, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	n, ferr := -1, error(nil)
	err = c.Control(func(fd uintptr) { n, ferr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, os.NewSyscallError("fcntl", ferr)); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), f.Name()), nil
}
