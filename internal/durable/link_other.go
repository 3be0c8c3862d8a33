//go:build !darwin

package durable

import "syscall"

// link is link(2), which never follows a symbolic link on Linux.
func link(from, to string) error { return syscall.Link(from, to) }
