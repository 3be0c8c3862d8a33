//go:build !linux

package main

import "syscall"

// endWithParent: a fetcher ends when its parent's end of the pipe is gone.
func endWithParent(*syscall.SysProcAttr) {}
