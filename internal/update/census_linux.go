package update

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

type inode struct{ dev, ino uint64 }

// users answers a process that runs a program of the bundle at dir which is not
// one of live's too: unchanged programs are one inode with two names, and live
// keeps it. It looks at the inode behind /proc/PID/exe, for a path proves
// nothing after an exchange. A process that root may not look at counts by its
// name; anybody else has no processes of the bundle but his own.
func users(dir, live string) (pid string, err error) {
	inodes, err := inodesBelow(dir)
	if err != nil {
		return "", err
	}
	kept, err := inodesBelow(live)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	names := map[string]bool{}
	for i, name := range inodes {
		names[name[:min(len(name), 15)]] = true // as the kernel shortens it
		if _, both := kept[i]; both {
			delete(inodes, i)
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(processes) == 0 {
		return "", errors.Join(err, errors.New("/proc shows no processes"))
	}
	for _, p := range processes {
		info, err := os.Stat(p + "/exe")
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() == 0 {
			comm, _ := os.ReadFile(p + "/comm")
			if names[strings.TrimSpace(string(comm))] {
				return filepath.Base(p), nil
			}
		}
		if err == nil && inodes[inodeOf(info)] != "" {
			return filepath.Base(p), nil
		}
	}
	return "", nil
}

// inodesBelow answers the regular files and their names.
func inodesBelow(dir string) (map[inode]string, error) {
	all := map[inode]string{}
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[inodeOf(info)] = d.Name()
		}
		return err
	})
	return all, err
}

func inodeOf(info fs.FileInfo) inode {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return inode{st.Dev, st.Ino}
	}
	return inode{}
}
