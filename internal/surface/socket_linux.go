package surface

import "golang.org/x/sys/unix"

const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

func pairCloexec(kind int) ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}
