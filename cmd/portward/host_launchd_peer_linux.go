package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID answers who is at the other end of c: SO_PEERCRED, unix(7).
func peerUID(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var got error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, got = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); got == nil {
			uid = cred.Uid
		}
	})
	if err == nil {
		err = got
	}
	return uid, err
}
