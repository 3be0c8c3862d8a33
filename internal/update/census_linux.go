package update

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"portward/internal/bundle"
)

// users answers a process that runs a program of the bundle at dir which is not
// live's too: an unchanged program is one inode with two names, and live keeps
// it. It looks at the inode behind /proc/PID/exe, for a path proves nothing
// after an exchange. A process that may not be looked at does not count: a name
// proves nothing, and anybody may choose one.
func users(dir, live string) (pid string, err error) {
	programs, err := os.ReadDir(filepath.Dir(bundle.Layout(dir).Program("any")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var own []fs.FileInfo
	for _, p := range programs {
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
		if err == nil && slices.ContainsFunc(own, func(f fs.FileInfo) bool { return os.SameFile(f, exe) }) {
			return filepath.Base(p), nil
		}
	}
	return "", nil
}
