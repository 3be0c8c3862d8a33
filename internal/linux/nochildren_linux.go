package linux

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the filter needs to know of a processor: linux/audit.h, and the numbers of
// the calls that make a process and nothing else; 0 is none.
type machine struct{ arch, fork, vfork uint32 }

var machines = map[string]machine{
	"amd64": {unix.AUDIT_ARCH_X86_64, 57, 58},
	"arm64": {unix.AUDIT_ARCH_AARCH64, 0, 0},
}

// NoChildren takes from this process, all its threads and for good, the ability
// to make another process: seccomp(2). Threads can still be made, but not by
// clone3(2), which the C library then does without. It sets no_new_privs. On
// processors that it does not know it is ENOSYS.
func NoChildren() error {
	m, ok := machines[runtime.GOARCH]
	if !ok {
		return unix.ENOSYS
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := m.filter()
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	switch {
	case errno != 0:
		return errno
	case thread != 0: // one that has another filter
		return unix.EBUSY
	}
	return nil
}

// Offsets in struct seccomp_data, linux/seccomp.h; both processors are little
// endian, so the lower half of an argument comes first.
const (
	offNumber = 0
	offArch   = 4
	offFlags  = 16 // clone(2)'s first argument
)

// filter is the program of bpf(4) that looks at each system call.
func (m machine) filter() []unix.SockFilter {
	const (
		load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		atLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		anyBit  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		answer  = unix.BPF_RET | unix.BPF_K
		x32     = 0x40000000 // amd64's other numbers, for the same calls
	)
	fork, vfork := m.fork, m.vfork
	if fork == 0 {
		fork, vfork = x32, x32 // no such calls: looked for in vain
	}
	return []unix.SockFilter{
		{Code: load, K: offArch},
		{Code: equal, K: m.arch, Jf: 9}, // another processor's calls: refused
		{Code: load, K: offNumber},
		{Code: atLeast, K: x32, Jt: 7},
		{Code: equal, K: unix.SYS_CLONE3, Jt: 7},
		{Code: equal, K: fork, Jt: 5},
		{Code: equal, K: vfork, Jt: 4},
		{Code: equal, K: unix.SYS_CLONE, Jf: 2},
		{Code: load, K: offFlags},
		{Code: anyBit, K: unix.CLONE_THREAD, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	}
}
