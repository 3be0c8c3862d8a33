package main

import (
	"os"
	"strings"
	"syscall"
)

// endWithParent has the kernel end the child when its parent is gone: prctl(2).
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// bootID names this boot of the machine: random(4).
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
