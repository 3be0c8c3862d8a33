package program

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"portward/internal/durable"
)

// MachineID answers the random id in the file at path, which it makes once. It
// decides nothing but a machine's turn in rollouts.
func MachineID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(b) >= 26 {
		return string(b), nil
	}
	id := rand.Text()
	return id, durable.Write(path, []byte(id), 0o600)
}

// MachineFailed says whether it is this machine that failed, and no program: it
// has no room, or no disk that works. A child that died of a SIGKILL died of too
// little memory: the errors of those that we kill are their context's.
func MachineFailed(err error) bool {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	}
	return slices.ContainsFunc([]error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.EIO, syscall.EROFS,
	}, func(e error) bool { return errors.Is(err, e) })
}
