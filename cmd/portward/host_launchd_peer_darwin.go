package main

import "golang.org/x/sys/unix"

// uidBeyond answers who is at the other end of a socket: LOCAL_PEERCRED, unix(4).
func uidBeyond(fd int) (uint32, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
