package update

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portward/internal/bundle"
)

// users answers a process that runs a program of the bundle at dir which is not
// live's too: an unchanged program is one inode with two names, and live keeps
// it. It looks at the inode behind /proc/PID/exe, for a path proves nothing
// after an exchange. A process that root may not look at counts by its name;
// anybody else has no processes of the bundle but his own.
func users(dir, live string) (pid string, err error) {
	programs, err := os.ReadDir(filepath.Dir(bundle.Layout(dir).Program("any")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var own []fs.FileInfo
	names := map[string]bool{}
	for _, p := range programs {
		names[p.Name()[:min(len(p.Name()), 15)]] = true // as the kernel shortens it
		info, err := p.Info()
		if err != nil {
			return "", err
		}
		if kept, err := os.Stat(bundle.Layout(live).Program(p.Name())); err != nil || !os.SameFile(info, kept) {
			own = append(own, info)
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(processes) == 0 {
		return "", errors.Join(err, errors.New("/proc shows no processes"))
	}
	for _, p := range processes {
		exe, err := os.Stat(p + "/exe")
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() == 0 {
			comm, _ := os.ReadFile(p + "/comm")
			if names[strings.TrimSpace(string(comm))] {
				return filepath.Base(p), nil
			}
		}
		if err == nil && slices.ContainsFunc(own, func(f fs.FileInfo) bool { return os.SameFile(f, exe) }) {
			return filepath.Base(p), nil
		}
	}
	return "", nil
}
