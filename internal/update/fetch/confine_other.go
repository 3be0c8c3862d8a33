//go:build !linux

package fetch

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// confine has only limits here: there is no call by which a process gives up
// files and programs. It is the uid that keeps the fetcher from them.
func confine(_ Config, log func(string, ...any)) error {
	log("the fetcher is confined by its uid and by limits only")
	for _, l := range []struct {
		which int
		most  uint64
	}{
		{unix.RLIMIT_NPROC, 0}, // threads are not counted
		{unix.RLIMIT_NOFILE, 64},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_FSIZE, maxSize},
	} {
		if err := unix.Setrlimit(l.which, &unix.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("resource limit %d: %w", l.which, err)
		}
	}
	return nil
}
