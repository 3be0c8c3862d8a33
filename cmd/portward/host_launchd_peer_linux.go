package main

import "golang.org/x/sys/unix"

// uidBeyond answers who is at the other end of a socket: SO_PEERCRED, unix(7).
func uidBeyond(fd int) (uint32, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
