package durable

import "golang.org/x/sys/unix"

// blockSize is f_frsize, the unit that statvfs(3) counts in; f_bsize may be the
// size of the best transfer only.
func blockSize(st *unix.Statfs_t) uint64 {
	if st.Frsize > 0 {
		return uint64(st.Frsize)
	}
	return uint64(st.Bsize)
}
