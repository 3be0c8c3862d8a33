//go:build darwin || standin

package macos

import (
	"fmt"
	"syscall"
	"unsafe"
)

const (
	procAllPIDs         uint32 = 1        // PROC_ALL_PIDS, libproc.h
	procPIDPathInfoSize        = 4 * 1024 // PROC_PIDPATHINFO_MAXSIZE, libproc.h
)

// ProcListPIDs is proc_listpids of PROC_ALL_PIDS, libproc.h, macOS 10.5: the
// processes there were a moment ago.
func ProcListPIDs() ([]int, error) {
	size := system().proc_listpids(procAllPIDs, 0, nil, 0)
	pids := make([]int32, size/4+64) // some are born meanwhile
	size = system().proc_listpids(procAllPIDs, 0, unsafe.Pointer(unsafe.SliceData(pids)), int32(len(pids)*4))
	if size <= 0 {
		return nil, fmt.Errorf("proc_listpids: answer %d", size)
	}
	var all []int
	for _, pid := range pids[:size/4] {
		if pid > 0 {
			all = append(all, int(pid))
		}
	}
	return all, nil
}

// ProcPIDPath is proc_pidpath, libproc.h, macOS 10.5: where the program of a
// process is now, which an exchange of directories changes. "" for kernel
// threads and the dead.
func ProcPIDPath(pid int) string {
	b := make([]byte, procPIDPathInfoSize)
	n := system().proc_pidpath(int32(pid), unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
	if n <= 0 || int(n) > len(b) {
		return ""
	}
	return string(b[:n])
}

// LaunchActivateSocket is launch_activate_socket, launch.h, macOS 10.10: the
// descriptors of a name in the job's Sockets, which are the caller's from now
// on. ENOENT: no such name. ESRCH: launchd did not start this process. EALREADY:
// they have been taken.
func LaunchActivateSocket(name string) ([]int, error) {
	var list *int32
	var count uintptr
	if code := system().launch_activate_socket(name, unsafe.Pointer(&list), unsafe.Pointer(&count)); code != 0 {
		return nil, fmt.Errorf("socket %q of this job: %w", name, syscall.Errno(code))
	}
	defer system().free(unsafe.Pointer(list))
	fds := make([]int, count)
	for i, fd := range unsafe.Slice(list, count) {
		fds[i] = int(fd)
	}
	return fds, nil
}
