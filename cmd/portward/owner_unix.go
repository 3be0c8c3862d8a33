package main

import (
	"io/fs"
	"syscall"
)

// ownerOf answers the uid a file belongs to, stat(2).
func ownerOf(fi fs.FileInfo) uint32 { return fi.Sys().(*syscall.Stat_t).Uid }
