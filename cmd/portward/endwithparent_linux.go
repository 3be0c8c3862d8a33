package main

import "syscall"

// endWithParent has the kernel end the child when its parent is gone: prctl(2).
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
