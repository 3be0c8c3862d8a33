package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// dupFD duplicates fd for this process alone, fcntl(2) F_DUPFD_CLOEXEC.
func dupFD(fd uintptr, name string) (*os.File, error) {
	n, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(n), name), nil
}
