//go:build !linux

package durable

import "golang.org/x/sys/unix"

// blockSize is f_bsize, on macOS the fundamental block size (statfs(2)).
func blockSize(st *unix.Statfs_t) uint64 { return uint64(st.Bsize) }
