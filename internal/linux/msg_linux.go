package linux

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SendNow sends a packet with its control messages on a connected socket: sendmsg(2),
// with MSG_DONTWAIT and MSG_NOSIGNAL. It never blocks, and Go's runtime is not told.
func SendNow(fd int, data, control []byte) error {
	iov, h := message(data, control)
	_, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	runtime.KeepAlive(iov)
	if errno != 0 {
		return errno
	}
	return nil
}

// Receive waits for a packet with its control messages, and does not ask for the
// sender's name: recvmsg(2) with MSG_CMSG_CLOEXEC.
func Receive(fd int, data, control []byte) (n, controlled, flags int, err error) {
	iov, h := message(data, control)
	r, _, errno := syscall.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&h)), unix.MSG_CMSG_CLOEXEC)
	runtime.KeepAlive(iov)
	if errno != 0 {
		return 0, 0, 0, errno
	}
	return int(r), int(h.Controllen), int(h.Flags), nil
}

// message is a header of one part, which must outlive the call.
func message(data, control []byte) (*unix.Iovec, unix.Msghdr) {
	iov := &unix.Iovec{Base: unsafe.SliceData(data)}
	iov.SetLen(len(data))
	h := unix.Msghdr{Iov: iov, Control: unsafe.SliceData(control)}
	h.SetIovlen(1)
	h.SetControllen(len(control))
	return iov, h
}
