package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"portward/internal/program"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// orService takes a process whose executable the kernel does not show for
// netchild if it runs under the uid that owns netchild's own directory. seen is
// what was found out about its executable.
func (a *agent) orService(ev *xpcpeer.Evidence, seen error) error {
	if !errors.Is(seen, program.ErrHidden) {
		return seen
	}
	fi, err := os.Stat(program.PrivateDir(a.p.Root, "system/"+launchd.NetChild))
	if err != nil {
		return errors.Join(seen, err)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != ev.UID || int(ev.UID) == os.Geteuid() {
		return fmt.Errorf("uid %d is not netchild's: %w", ev.UID, seen)
	}
	return nil
}
