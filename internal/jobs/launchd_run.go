package jobs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// What one launchctl may take: time, and memory for what it prints.
const (
	launchctlWithin = 30 * time.Second
	launchctlOutput = 64 << 10
	launchctlPath   = "PATH=/usr/bin:/bin:/usr/sbin:/sbin"
)

// answer is what one launchctl left. Its code is the fact; the rest is for
// people, and for the two things that have no code.
type answer struct {
	code   int
	stdout string
	stderr string
}

// launchctl runs one program, without a shell and with nothing of ours in its
// environment. An error means that there is no exit status to go by.
type launchctl struct {
	path   string
	within time.Duration
}

func (c launchctl) run(ctx context.Context, args ...string) (answer, error) {
	late := fmt.Errorf("launchctl %s: no answer within %v: %w", args[0], c.within, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, c.within, late)
	defer cancel()
	var stdout, stderr bounded
	cmd := exec.CommandContext(ctx, c.path, args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = []string{launchctlPath}, "/", time.Second
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return answer{}, context.Cause(ctx)
	case !errors.As(err, &exit) || exit.ExitCode() < 0:
		return answer{}, fmt.Errorf("launchctl %s: %w", args[0], err)
	}
	return answer{cmd.ProcessState.ExitCode(), string(stdout), string(stderr)}, nil
}

// bounded keeps the beginning of what is written to it and takes the rest.
type bounded []byte

func (b *bounded) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), launchctlOutput-len(*b))]...)
	return len(p), nil
}
