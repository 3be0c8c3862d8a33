package surface

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The seals of a buffer (fcntl(2), File Sealing).
const (
	finalSize = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	ourSeals  = finalSize | unix.F_SEAL_SEAL
)

func makeMemory(size int) (memory, *os.File, error) {
	fd, err := memfd()
	if err != nil {
		return memory{}, nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "surface")
	m, err := prepare(fd, size)
	if err != nil {
		f.Close()
		return memory{}, nil, err
	}
	return m, f, nil
}

// memfd is never executable; kernels before 6.3 do not know how to say so, and
// some later ones (vm.memfd_noexec=2) want nothing else.
func memfd() (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("portward-surface", flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		return unix.MemfdCreate("portward-surface", flags)
	}
	return fd, err
}

func prepare(fd, size int) (memory, error) {
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return memory{}, os.NewSyscallError("ftruncate", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, ourSeals); err != nil {
		return memory{}, os.NewSyscallError("fcntl", err)
	}
	return mapMemory(fd, size, unix.PROT_READ|unix.PROT_WRITE)
}

func mapMemory(fd, size, prot int) (memory, error) {
	b, err := unix.Mmap(fd, 0, size, prot, unix.MAP_SHARED)
	if err != nil {
		return memory{}, os.NewSyscallError("mmap", err)
	}
	return memory{pix: b[:size:size], mapped: b}, nil
}

func unmapMemory(b []byte) { unix.Munmap(b) }

// An inode tells two files apart.
type inode struct{ dev, ino uint64 }

func adoptMemories(files []*os.File, size int) (all []memory, err error) {
	defer func() {
		if err != nil {
			unmapAll(all)
			all = nil
		}
	}()
	seen := map[inode]bool{}
	for i, f := range files {
		m, id, err := adoptMemory(f, size)
		if err != nil {
			return all, fmt.Errorf("surface %d: %w", i, err)
		}
		all = append(all, m)
		if seen[id] {
			return all, fmt.Errorf("surface %d: %w: the same memory twice", i, ErrHostile)
		}
		seen[id] = true
	}
	return all, nil
}

func adoptMemory(f *os.File, size int) (m memory, id inode, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return memory{}, inode{}, err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		if id, err = checkMemory(int(fd), size); err == nil {
			m, err = mapMemory(int(fd), size, unix.PROT_READ)
		}
	})
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w: memory that cannot be read: %w", ErrHostile, err)
	}
	return m, id, errors.Join(err, ctlErr)
}

// checkMemory is the proof that openMemories promises.
func checkMemory(fd, size int) (inode, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		return inode{}, fmt.Errorf("%w: no memory file", ErrHostile)
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&finalSize != finalSize {
		return inode{}, fmt.Errorf("%w: memory that is not sealed against resizing", ErrHostile)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return inode{}, fmt.Errorf("%w: no regular memory file", ErrHostile)
	}
	if page := int64(os.Getpagesize()); st.Size != int64(size) && st.Size != (int64(size)+page-1)/page*page {
		return inode{}, fmt.Errorf("%w: memory of %d bytes, not %d", ErrHostile, st.Size, size)
	}
	return inode{uint64(st.Dev), st.Ino}, nil
}
