//go:build !linux

package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

func confine(cmd *exec.Cmd, as uint32) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 && as != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: as, Gid: as}
	}
}

// bootID names this boot of the machine: sysctl kern.bootsessionuuid.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
