package deadman

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newStacks: memfd_create, ftruncate, F_ADD_SEALS. A write beyond the end of a
// file sealed with F_SEAL_GROW fails with EPERM (fcntl(2)).
func newStacks(size int) (*os.File, error) {
	fd, err := unix.MemfdCreate("portward-stacks", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memfd:portward-stacks")
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		f.Close()
		return nil, fmt.Errorf("ftruncate: %w", err)
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fmt.Errorf("seal: %w", err)
	}
	return f, nil
}
