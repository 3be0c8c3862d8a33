package syscalls

import "golang.org/x/sys/unix"

// arch is AUDIT_ARCH_AARCH64, as a filter sees it.
const arch = unix.AUDIT_ARCH_AARCH64

// oldCalls are those of other machines, and the two that go by another name.
var oldCalls = map[int]rule{
	unix.SYS_NEWFSTATAT: {"newfstatat", 0, 1, false, false},
	unix.SYS_RENAMEAT:   {"renameat", 2, 3, true, true},
}
