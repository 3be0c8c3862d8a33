// Package syscalls knows how to stand between a process and the kernel: it sees
// every call that touches a directory tree, in order, and lets it happen, makes
// it fail, or ends the process there. It must never know why the process calls.
//
// It is seccomp's user notification: the process itself installs the filter and
// hands the listener over, so nothing is traced and each call costs a few
// microseconds.
package syscalls

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// A Call is one system call on something in the tree.
type Call struct {
	Name      string
	Path      string // the first one that it names
	Changes   bool   // the tree, or what of it is on the disk
	Allocates bool   // it may find the disk full
}

func (c Call) String() string { return fmt.Sprintf("%s(%s)", c.Name, c.Path) }

// A rule says how a call names what it touches: by the descriptor in argument
// fd, or, where path is not -1, by the name in argument path, from there.
type rule struct {
	name      string
	fd, path  int
	changes   bool
	allocates bool
}

// cwd in rule.fd: a name is from the working directory.
const cwd = -1

var table = merged(map[int]rule{
	unix.SYS_OPENAT:          {"openat", 0, 1, false, false}, // see seen: O_CREAT
	unix.SYS_READ:            {"read", 0, -1, false, false},
	unix.SYS_PREAD64:         {"pread64", 0, -1, false, false},
	unix.SYS_GETDENTS64:      {"getdents64", 0, -1, false, false},
	unix.SYS_FSTAT:           {"fstat", 0, -1, false, false},
	unix.SYS_STATX:           {"statx", 0, 1, false, false},
	unix.SYS_STATFS:          {"statfs", cwd, 0, false, false},
	unix.SYS_FSTATFS:         {"fstatfs", 0, -1, false, false},
	unix.SYS_READLINKAT:      {"readlinkat", 0, 1, false, false},
	unix.SYS_FLISTXATTR:      {"flistxattr", 0, -1, false, false},
	unix.SYS_LLISTXATTR:      {"llistxattr", cwd, 0, false, false},
	unix.SYS_FLOCK:           {"flock", 0, -1, false, false},
	unix.SYS_WRITE:           {"write", 0, -1, true, true},
	unix.SYS_PWRITE64:        {"pwrite64", 0, -1, true, true},
	unix.SYS_COPY_FILE_RANGE: {"copy_file_range", 2, -1, true, true},
	unix.SYS_SENDFILE:        {"sendfile", 0, -1, true, true},
	unix.SYS_SPLICE:          {"splice", 2, -1, true, true},
	unix.SYS_FALLOCATE:       {"fallocate", 0, -1, true, true},
	unix.SYS_FTRUNCATE:       {"ftruncate", 0, -1, true, false},
	unix.SYS_FSYNC:           {"fsync", 0, -1, true, true},
	unix.SYS_FDATASYNC:       {"fdatasync", 0, -1, true, true},
	unix.SYS_FCHMOD:          {"fchmod", 0, -1, true, false},
	unix.SYS_FCHMODAT:        {"fchmodat", 0, 1, true, false},
	unix.SYS_FCHMODAT2:       {"fchmodat2", 0, 1, true, false},
	unix.SYS_FCHOWN:          {"fchown", 0, -1, true, false},
	unix.SYS_FCHOWNAT:        {"fchownat", 0, 1, true, false},
	unix.SYS_FSETXATTR:       {"fsetxattr", 0, -1, true, true},
	unix.SYS_UTIMENSAT:       {"utimensat", 0, 1, true, false},
	unix.SYS_MKDIRAT:         {"mkdirat", 0, 1, true, true},
	unix.SYS_LINKAT:          {"linkat", 2, 3, true, true},
	unix.SYS_SYMLINKAT:       {"symlinkat", 1, 2, true, true},
	unix.SYS_UNLINKAT:        {"unlinkat", 0, 1, true, false},
	unix.SYS_RENAMEAT2:       {"renameat2", 2, 3, true, true},
}, oldCalls)

func merged(a, b map[int]rule) map[int]rule {
	maps.Copy(a, b)
	return a
}

func numbers() []int { return slices.Sorted(maps.Keys(table)) }
