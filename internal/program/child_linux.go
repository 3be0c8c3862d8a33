package program

import (
	"os/exec"
	"syscall"
)

// tie has the kernel end the child when its parent is gone: prctl(2).
func tie(cmd *exec.Cmd) (untie func(), err error) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return func() {}, nil
}
