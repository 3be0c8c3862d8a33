//go:build !linux

package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// endWithParent cannot be had here: the pipes to a child end with its parent.
func endWithParent(a *syscall.SysProcAttr) {}

// bootID names this boot of the machine: sysctl kern.bootsessionuuid.
func bootID() string {
	id, _ := unix.Sysctl("kern.bootsessionuuid")
	return id
}
