package durable

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Free answers how many bytes an ordinary user may still write on the file
// system of path, which must exist. It is an estimate: others write too, and a
// file system may need more than it says.
func Free(path string) (bytes uint64, err error) {
	var st unix.Statfs_t
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Statfs(path, &st)
	}
	if err != nil {
		return 0, fmt.Errorf("free space at %s: %w", path, err)
	}
	return st.Bavail * blockSize(&st), nil
}

// WantFree answers an error with ENOSPC while fewer bytes are Free at path. Where
// that cannot be known, nothing is wanted.
func WantFree(path string, bytes uint64) error {
	free, err := Free(path)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err == nil && free < bytes {
		err = fmt.Errorf("%w: %d MB are free, %d MB are needed", syscall.ENOSPC, free>>20, bytes>>20+1)
	}
	return err
}
