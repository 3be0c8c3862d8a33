package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// confine makes the child end with the supervisor, and run as that account
// where it can.
func confine(cmd *exec.Cmd, as uint32) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 && as != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: as, Gid: as}
	}
}

// bootID names this boot of the machine: random(4).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
