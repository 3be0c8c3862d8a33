package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"portward/launchd"
)

// A oneShot is one of the children that the supervisor starts itself, for one
// piece of work: fetch, qualify and probe. All others are its engine's. It has
// nothing of the supervisor's environment, ends with its context, and with the
// supervisor.
type oneShot struct {
	cmd  *exec.Cmd
	done chan error // one: how it ended
	said *tail
}

// oneShot starts a program. as is the account it runs under where the supervisor
// is root; zero keeps the supervisor's.
func (s *supervisor) oneShot(ctx context.Context, path string, as uint32, in io.Reader, out io.Writer, env []string, args ...string) (*oneShot, error) {
	c := &oneShot{cmd: exec.CommandContext(ctx, path, args...), done: make(chan error, 1), said: &tail{}}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = in, out, c.said
	c.cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"}, env...)
	c.cmd.Dir = "/"
	c.cmd.WaitDelay = time.Second
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(c.cmd.SysProcAttr)
	if os.Geteuid() == 0 && as != 0 {
		c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: as, Gid: as}
	}
	started := make(chan error)
	go func() {
		// The kernel ends the child when the thread that started it ends: this
		// one lives as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.done <- c.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// run waits for the child's end; its error is the last line that the child wrote.
func (c *oneShot) run(ctx context.Context) error {
	err := <-c.done
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("took too long: %w", ctx.Err())
	}
	if last := c.said.last(); last != "" {
		err = fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// rootEnv is what a oneShot is told of where it is.
func rootEnv(root string) string { return launchd.RootVariable + "=" + root }

// A tail keeps the end of what is written to it.
type tail []byte

const maxTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	*t = (*t)[max(0, len(*t)-maxTail):]
	return len(p), nil
}

// last answers the last line.
func (t tail) last() string {
	lines := strings.Split(strings.TrimSpace(string(t)), "\n")
	return lines[len(lines)-1]
}

var errNoAccount = errors.New("no accounts for the fetcher and the probe\nhint: update.fetch_uid and update.probe_uid in the configuration")
