package surface

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"portward/internal/wire"
)

// memfds are sealed memory files. Before one of a peer's is mapped, this has
// been proven:
//
//	fstat, fstatfs   a regular file of the kernel's own memory (tmpfs; no huge pages)
//	F_GET_SEALS      SHRINK and GROW: its size is final. Files that are no memfd
//	                 answer EINVAL or lack the seals.
//	fstat            of the size we need, the geometry's or that in whole pages
//	                 (after the seals: before, it could still change)
//	dev, ino         its identity: the sink refuses one twice
//
// WRITE is not sealed, the producer draws into it: pixels can change at any
// time, and the consumer must not believe them twice.
type memfds struct{}

// A memfd is one of them, mapped as long as it is open. The kernel does not say
// whether somebody reads it: a consumer's word is all there is.
type memfd struct {
	pix  []byte
	file *os.File // ours; nil at the consumer
}

func (m *memfd) lock() ([]byte, error) { return m.pix, nil }
func (m *memfd) unlock()               {}
func (m *memfd) inUse() bool           { return false }
func (m *memfd) handle() wire.Handle   { return wire.Surface(m.file) }

func (m *memfd) close() {
	unix.Munmap(m.pix)
	if m.file != nil {
		m.file.Close()
	}
}

// The seals of a buffer (fcntl(2), File Sealing).
const (
	finalSize = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	ourSeals  = finalSize | unix.F_SEAL_SEAL
)

func (memfds) create(g Geometry) (memory, error) {
	fd, err := memfdCreate("portward-surface")
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "surface")
	m, err := prepare(fd, g.Size())
	if err != nil {
		f.Close()
		return nil, err
	}
	m.file = f
	return m, nil
}

// memfdCreate makes one that is never executable; kernels before 6.3 do not know how
// to say so, and some later ones (vm.memfd_noexec=2) want nothing else.
func memfdCreate(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		return unix.MemfdCreate(name, flags)
	}
	return fd, err
}

func prepare(fd, size int) (*memfd, error) {
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, ourSeals); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return mapMemory(fd, size, unix.PROT_READ|unix.PROT_WRITE)
}

func mapMemory(fd, size, prot int) (*memfd, error) {
	b, err := unix.Mmap(fd, 0, size, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &memfd{pix: b}, nil
}

func (memfds) adopt(h wire.Handle, g Geometry) (memory, identity, error) {
	f, ok := h.File()
	if !ok {
		return nil, identity{}, fmt.Errorf("%w: a surface that is a %T", ErrHostile, h.Object)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, identity{}, err
	}
	var m *memfd
	var id identity
	ctlErr := raw.Control(func(fd uintptr) {
		if id, err = checkMemory(int(fd), g.Size()); err == nil {
			m, err = mapMemory(int(fd), g.Size(), unix.PROT_READ)
		}
	})
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w: memory that cannot be read: %w", ErrHostile, err)
	}
	return m, id, errors.Join(err, ctlErr)
}

// checkMemory is the proof that memfds promises.
func checkMemory(fd, size int) (identity, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		return identity{}, fmt.Errorf("%w: no memory file", ErrHostile)
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&finalSize != finalSize {
		return identity{}, fmt.Errorf("%w: memory that is not sealed against resizing", ErrHostile)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return identity{}, fmt.Errorf("%w: no regular memory file", ErrHostile)
	}
	if page := int64(os.Getpagesize()); st.Size != int64(size) && st.Size != (int64(size)+page-1)/page*page {
		return identity{}, fmt.Errorf("%w: memory of %d bytes, not %d", ErrHostile, st.Size, size)
	}
	return identity{uint64(st.Dev), st.Ino}, nil
}
