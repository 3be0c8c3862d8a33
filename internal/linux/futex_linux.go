package linux

import (
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// linux/futex.h.
const (
	futexWait    = 0
	futexWake    = 1
	futexRequeue = 3
)

// FutexWait sleeps as long as the word, in memory that processes share, has this
// value, until it is woken: FUTEX_WAIT of futex(2). EAGAIN: it has another one. The
// calling thread sleeps, and nothing but the word ends that: a process that has the
// memory too can see to it that it never ends. See Replace.
//
// It keeps its P, so that it goes on at once even if all others are busy. Go's runtime
// lets it for ten milliseconds, in which its monitor wakes sixty times to look: for
// waits that are longer, see FutexWaitLong.
func FutexWait(shared *uint32, is uint32) error {
	_, _, errno := syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(shared)), futexWait, uintptr(is), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// FutexWaitLong is FutexWait without a P. late is how long it took, once woken, to
// get one.
func FutexWaitLong(shared *uint32, is uint32) (late time.Duration, err error) {
	var woken, goes unix.Timespec
	errno := withoutP(unix.SYS_FUTEX, uintptr(unsafe.Pointer(shared)), futexWait, uintptr(is), uintptr(unsafe.Pointer(&woken)))
	if errno != 0 {
		return 0, errno
	}
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &goes); err != nil {
		return 0, err
	}
	return time.Duration(goes.Nano() - woken.Nano()), nil
}

// FutexWake wakes one of those who sleep on the word, in memory that processes
// share: FUTEX_WAKE of futex(2). It never blocks.
func FutexWake(shared *uint32) {
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(shared)), futexWake, 1, 0, 0, 0)
}

// FutexRequeue lets those who sleep on one word sleep on another: FUTEX_REQUEUE of
// futex(2). It is what a hostile peer can do, for tests.
func FutexRequeue(from, to *uint32) {
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(from)), futexRequeue, 0, 1<<20, uintptr(unsafe.Pointer(to)), 0)
}

// Replace puts memory of our own, all zero, in the place of a mapping that other
// processes share: mmap(2) with MAP_FIXED. The mapping stays to be unmapped.
func Replace(mem []byte) error {
	const flags = unix.MAP_FIXED | unix.MAP_PRIVATE | unix.MAP_ANON
	_, _, errno := syscall.Syscall6(unix.SYS_MMAP, uintptr(unsafe.Pointer(unsafe.SliceData(mem))), uintptr(len(mem)),
		unix.PROT_READ|unix.PROT_WRITE, flags, ^uintptr(0), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Nudge has every thread of this process that sleeps in the kernel begin its call
// anew: tgkill(2) with the signal that Go's runtime sends itself, expects at any
// time, and takes with SA_RESTART. A FUTEX_WAIT looks at its word again.
func Nudge() error {
	threads, err := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			unix.Tgkill(os.Getpid(), tid, unix.SIGURG) // or it has ended
		}
	}
	return err
}
