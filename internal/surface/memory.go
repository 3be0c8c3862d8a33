package surface

import "os"

// A memory is one buffer that two processes map.
type memory struct {
	pix    []byte // exactly the geometry's size
	mapped []byte // what unmap needs
}

// newMemory makes a buffer of size bytes, all zero, that can never change its
// size, and maps it for writing. The file is the handle to it.
func newMemory(size int) (memory, *os.File, error) { return makeMemory(size) }

// openMemories maps a peer's buffers for reading. It borrows the files. Before
// anything is mapped it has proven, for each, that reading can never fault:
//
//	fstat, fstatfs   a regular file of the kernel's own memory (tmpfs; no huge pages)
//	F_GET_SEALS      SHRINK and GROW: its size is final. Files that are no memfd
//	                 answer EINVAL or lack the seals.
//	fstat            of the size we need, the geometry's or that in whole pages
//	                 (after the seals: before, it could still change)
//	dev, ino         none of them twice
//
// WRITE is not sealed, the producer draws into it: pixels can change at any
// time, and the consumer must not believe them twice. The error is ErrHostile
// for a lie.
func openMemories(files []*os.File, size int) ([]memory, error) { return adoptMemories(files, size) }

func (m memory) unmap() { unmapMemory(m.mapped) }

func unmapAll(ms []memory) {
	for _, m := range ms {
		m.unmap()
	}
}
