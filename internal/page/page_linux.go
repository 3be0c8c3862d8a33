package page

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"portward/internal/linux"
)

const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// newPage: memfd_create, ftruncate, F_ADD_SEALS, mmap. The seals come before
// anybody else can see the descriptor.
func newPage(words int) (*Page, error) {
	fd, err := unix.MemfdCreate("portward-page", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memfd:portward-page")
	p, err := seal(f, words)
	if err != nil {
		f.Close()
		return nil, err
	}
	p.file = f
	return p, nil
}

func seal(f *os.File, words int) (*Page, error) {
	if err := unix.Ftruncate(int(f.Fd()), int64(words)*8); err != nil {
		return nil, fmt.Errorf("ftruncate: %w", err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return mapPage(f, words)
}

// openPage: F_GET_SEALS, then fstat, then mmap. Seals cannot be taken off
// again, so the size that is read after them is the size for ever.
func openPage(f *os.File, words int) (*Page, error) {
	have, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("not a memfd: %w", err)
	}
	if have&seals != seals {
		return nil, errors.New("not sealed against resizing")
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("fstat: %w", err)
	}
	if st.Size < int64(words)*8 {
		return nil, fmt.Errorf("%d bytes are too few for %d words", st.Size, words)
	}
	return mapPage(f, words)
}

func mapPage(f *os.File, words int) (*Page, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, words*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return &Page{words: linux.Words(mem), mem: mem}, nil
}

func unmap(mem []byte) error { return unix.Munmap(mem) }
