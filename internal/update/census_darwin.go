package update

import (
	"errors"
	"io/fs"
	"os"
	"strconv"

	"portward/internal/bundle"
	"portward/internal/macos"
)

// users answers a process that runs a program of the bundle at dir. The path that
// macOS has of a process follows its program through an exchange of directories
// (libproc.h asks the vnode), so it is below dir when that is where the program
// is now; the directories are compared, not their names, which may be several. No
// program is live's too, for a clone has an inode of its own. Programs that were
// removed while they ran have no path, and need no bundle.
func users(dir, _ string) (pid string, err error) {
	place, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	pids, err := macos.ProcListPIDs()
	for _, n := range pids {
		path := macos.ProcPIDPath(n)
		of, err := os.Stat(bundle.Of(path))
		if path != "" && err == nil && os.SameFile(of, place) {
			return strconv.Itoa(n), nil
		}
	}
	return "", err
}
