package syscalls

import "golang.org/x/sys/unix"

// arch is AUDIT_ARCH_X86_64, as a filter sees it.
const arch = unix.AUDIT_ARCH_X86_64

// oldCalls are those that newer machines do not have.
var oldCalls = map[int]rule{
	unix.SYS_OPEN:       {"open", cwd, 0, true, true},
	unix.SYS_NEWFSTATAT: {"newfstatat", 0, 1, false, false},
	unix.SYS_STAT:       {"stat", cwd, 0, false, false},
	unix.SYS_LSTAT:      {"lstat", cwd, 0, false, false},
	unix.SYS_MKDIR:      {"mkdir", cwd, 0, true, true},
	unix.SYS_RMDIR:      {"rmdir", cwd, 0, true, false},
	unix.SYS_UNLINK:     {"unlink", cwd, 0, true, false},
	unix.SYS_LINK:       {"link", cwd, 1, true, true},
	unix.SYS_SYMLINK:    {"symlink", cwd, 1, true, true},
	unix.SYS_RENAME:     {"rename", cwd, 1, true, true},
	unix.SYS_RENAMEAT:   {"renameat", 2, 3, true, true},
	unix.SYS_CHMOD:      {"chmod", cwd, 0, true, false},
	unix.SYS_CHOWN:      {"chown", cwd, 0, true, false},
	unix.SYS_LCHOWN:     {"lchown", cwd, 0, true, false},
	unix.SYS_TRUNCATE:   {"truncate", cwd, 0, true, false},
	unix.SYS_READLINK:   {"readlink", cwd, 0, false, false},
}
