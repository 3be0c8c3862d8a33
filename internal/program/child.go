package program

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Child is one that a program starts itself, for one piece of work; all others
// are its engine's. It has nothing of its parent's environment but where the
// product is, and a process group of its own, all of which ends with its context.
// It does not outlive its parent.
type Child struct {
	Path string
	Args []string
	As   uint32 // the account that it runs under where this process is root; zero: root
	Env  []string
	In   io.Reader
	Out  io.Writer

	cmd  *exec.Cmd
	done chan error // one: how it ended
	said tail
}

// StartChild starts c. c must not be used again.
func (p *Program) StartChild(ctx context.Context, c *Child) error {
	c.cmd, c.done = exec.CommandContext(ctx, c.Path, c.Args...), make(chan error, 1)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = c.In, c.Out, &c.said
	c.cmd.Env = slices.Concat([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"}, p.environ(), c.Env)
	c.cmd.Dir = "/"
	c.cmd.WaitDelay = time.Second
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 && c.As != 0 {
		c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.As, Gid: c.As}
	}
	c.cmd.Cancel = func() error {
		syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // and whom it has started; it was not waited for yet, so the number is its own
		return c.cmd.Process.Kill()
	}
	started := make(chan error)
	go c.live(started)
	return <-started
}

// live is the child's life. Linux ends the child when the thread that started it
// ends: this one lives as long as the child.
func (c *Child) live(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	untie, err := tie(c.cmd)
	defer untie()
	if err == nil {
		err = c.cmd.Start()
	}
	started <- err
	if err == nil {
		c.done <- c.cmd.Wait()
	}
}

// PID is the process that was started.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Wait waits for the child's end; its error is the last line that the child
// wrote. ctx is the child's.
func (c *Child) Wait(ctx context.Context) error {
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
