package main

import (
	"io/fs"
	"syscall"
)

// owner answers the uid a file belongs to, stat(2).
func owner(fi fs.FileInfo) (uint32, bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, true
}
