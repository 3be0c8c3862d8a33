package main

import (
	"os/exec"
	"runtime"
	"syscall"
)

// runBound runs cmd to its end, or to this process's: PR_SET_PDEATHSIG,
// prctl(2), which is sent when the thread that started the child ends, so that
// thread is kept.
func runBound(cmd *exec.Cmd) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.CombinedOutput()
}
