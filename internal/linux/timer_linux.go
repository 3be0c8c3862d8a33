package linux

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A TimerID names a timer of this process. A child does not inherit it and
// exec deletes it (timer_create(2)).
type TimerID int32

// sigevent is struct sigevent of asm-generic/siginfo.h; the kernel reads 64
// bytes of it, whatever the width of the first field.
type sigevent struct {
	value  uintptr
	signo  int32
	notify int32 // 0 is SIGEV_SIGNAL: the signal goes to the process
	_      [64]byte
}

// TimerCreate makes a disarmed timer on the clock (unix.CLOCK_MONOTONIC and
// its kin) that will send sig to this process: timer_create(2).
func TimerCreate(clock int32, sig syscall.Signal) (TimerID, error) {
	event := sigevent{signo: int32(sig)}
	var id TimerID
	_, _, errno := syscall.RawSyscall(unix.SYS_TIMER_CREATE,
		uintptr(clock), uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&id)))
	if errno != 0 {
		return 0, errno
	}
	return id, nil
}

// TimerSettime arms the timer to fire once, after d from now on its clock; zero
// disarms it: timer_settime(2). It never blocks and allocates nothing.
func TimerSettime(id TimerID, d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	_, _, errno := syscall.RawSyscall6(unix.SYS_TIMER_SETTIME,
		uintptr(id), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// TimerDelete disarms the timer and gives its number back: timer_delete(2).
func TimerDelete(id TimerID) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_TIMER_DELETE, uintptr(id), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
