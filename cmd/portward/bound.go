package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"portward/internal/program"
)

// boundVerb is this program as a guard: it runs a command in a process group
// of its own and ends the whole group when whoever started it is gone. The
// compilers that `go build` starts would not die with `up` otherwise.
const boundVerb = "run-bound"

// runBound runs a command to its end, or to ctx's or this process's, whichever
// comes first, with everything that the command started. It answers what the
// command wrote.
func runBound(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	defer w.Close() // the end of the guard, at the latest
	cmd := exec.CommandContext(ctx, self, append([]string{boundVerb, name}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = w.Close
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out, err
}

// bound is the guard. Its descriptor 3 closes when its parent is gone.
func bound(args []string) (int, error) {
	if len(args) == 0 || os.Getpid() != syscall.Getpgrp() {
		return program.ExitUsage, nil
	}
	syscall.CloseOnExec(3)
	go func() {
		io.Copy(io.Discard, os.NewFile(3, "parent"))
		syscall.Kill(0, syscall.SIGKILL) // the group, this process in it
	}()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); exited {
		return cmd.ProcessState.ExitCode(), nil
	}
	return program.ExitOK, err
}
