package xpcpeer

import (
	"os"

	"golang.org/x/sys/unix"
)

// withFD runs f with the descriptor of file, which stays open meanwhile.
func withFD(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// dupFD answers a second descriptor of what file is open on.
func dupFD(file *os.File) (fd int, err error) {
	err = withFD(file, func(old int) (err error) {
		fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
	})
	return fd, err
}

func dupFile(file *os.File) (*os.File, error) {
	fd, err := dupFD(file)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), file.Name()), nil
}
