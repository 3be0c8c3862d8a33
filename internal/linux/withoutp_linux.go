package linux

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PollLong waits, for as long as it takes and without a P, until a descriptor has
// one of the events or its end, and answers what it has: poll(2).
func PollLong(fd int, events int16) (int16, error) {
	p := unix.PollFd{Fd: int32(fd), Events: events}
	for {
		switch errno := withoutP(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, 0, 0); errno {
		case 0:
			return p.Revents, nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// withoutP does what syscall.Syscall does around a call of three arguments, but for
// the hint that this one blocks (runtime/proc.go keeps both names for others,
// go.dev/issue/67401). The time at which it was over is written to woken, if there is
// one.
//
//go:nosplit
//go:uintptrescapes
func withoutP(trap, a1, a2, a3, woken uintptr) syscall.Errno {
	entersyscallblock()
	_, _, errno := syscall.RawSyscall6(trap, a1, a2, a3, 0, 0, 0)
	if woken != 0 {
		syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, woken, 0)
	}
	exitsyscall()
	return errno
}

//go:linkname entersyscallblock runtime.entersyscallblock
func entersyscallblock()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()
