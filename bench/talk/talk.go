// Package talk knows how the benchmark asks a contestant that is a process of its
// own for samples, and how that process answers. It must never know what is
// measured.
//
// A line with a number on the contestant's stdin asks for so many samples. The
// answer on its stdout is a uint32 with how many there are and so many float64, in
// the machine's own order. The contestant ends when its stdin does.
package talk

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"portward/bench/harness"
)

// endWithin is how long a contestant may take to end by itself.
const endWithin = 5 * time.Second

// A Process is a contestant, with whatever it started in its process group.
type Process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err *tail
}

// A Place says on which processors the two halves of a contestant are.
type Place string

// The places. A contestant finds its own in PlaceVariable, and sees to it.
const (
	Free Place = ""     // as the kernel's scheduler likes
	Same Place = "same" // both on one
	Two  Place = "two"  // each on one of its own

	PlaceVariable = "PORTWARD_BENCH_PLACE"
)

// A Command is how a contestant is started.
type Command struct {
	Path  string
	Args  []string
	Place Place
}

// Start runs a contestant.
func (c Command) Start() (*Process, error) {
	p := &Process{cmd: exec.Command(c.Path, c.Args...), err: &tail{}}
	p.cmd.Env = append(os.Environ(), PlaceVariable+"="+string(c.Place))
	p.cmd.Stderr = p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	return p, p.cmd.Start()
}

// PID is the contestant's own, and its process group's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ask answers n samples, more or fewer as the contestant likes. The end of ctx
// kills it.
func (p *Process) Ask(ctx context.Context, n int) ([]float64, error) {
	stop := context.AfterFunc(ctx, func() { p.kill() })
	defer stop()
	_, err := fmt.Fprintln(p.in, n)
	var got uint32
	if err == nil {
		err = binary.Read(p.out, binary.NativeEndian, &got)
	}
	if err != nil {
		return nil, p.fail(ctx, err)
	}
	samples := make([]float64, got)
	if err := binary.Read(p.out, binary.NativeEndian, samples); err != nil {
		return nil, p.fail(ctx, err)
	}
	return samples, nil
}

// fail says why there is no answer, in the contestant's own words where it had
// any.
func (p *Process) fail(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	time.AfterFunc(endWithin, func() { p.kill() })
	return fmt.Errorf("%s: %w", p.cmd.Path, errors.Join(err, p.cmd.Wait(), p.err.text()))
}

// Close ends the contestant and its process group.
func (p *Process) Close() error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	p.in.Close()
	timer := time.AfterFunc(endWithin, func() { p.kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", p.cmd.Path, errors.Join(err, p.err.text()))
	}
	return nil
}

func (p *Process) kill() { syscall.Kill(-p.PID(), syscall.SIGKILL) }

// Turn starts a contestant that answers n samples each time it is its turn.
func (c Command) Turn(version string, n int) (harness.Turn, error) {
	p, err := c.Start()
	if err != nil {
		return harness.Turn{}, err
	}
	return harness.Turn{
		Sample:  func(ctx context.Context, _ int) ([]float64, error) { return p.Ask(ctx, n) },
		Close:   p.Close,
		Version: version,
	}, nil
}

// FreshTurn is Turn with a contestant of its own for each turn: for one that keeps
// the machine busy between two questions.
func (c Command) FreshTurn(version string, n int) harness.Turn {
	return harness.Turn{Version: version, Sample: func(ctx context.Context, _ int) ([]float64, error) {
		p, err := c.Start()
		if err != nil {
			return nil, err
		}
		samples, err := p.Ask(ctx, n)
		return samples, errors.Join(err, p.Close())
	}}
}

// Serve is the contestant's side: it asks sample for what was asked for, until
// there is no more to ask.
func Serve(sample func(n int) ([]float64, error)) error {
	for {
		var n int
		if _, err := fmt.Fscanln(os.Stdin, &n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		got, err := sample(n)
		if err != nil {
			return err
		}
		if err := answer(got); err != nil {
			return err
		}
	}
}

func answer(samples []float64) error {
	b, err := binary.Append(nil, binary.NativeEndian, uint32(len(samples)))
	if err == nil {
		b, err = binary.Append(b, binary.NativeEndian, samples)
	}
	if err == nil {
		_, err = os.Stdout.Write(b)
	}
	return err
}

// Each answers one sample after another, after a tenth of them that nobody hears
// of.
func Each(one func() (time.Duration, error)) func(n int) ([]float64, error) {
	return func(n int) ([]float64, error) {
		samples := make([]float64, 0, n)
		for i := range n + n/10 {
			d, err := one()
			if err != nil {
				return nil, err
			}
			if i >= n/10 {
				samples = append(samples, d.Seconds())
			}
		}
		return samples, nil
	}
}

// A tail keeps the end of what is written.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const maxTail = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-maxTail):]
	return len(b), nil
}

// text is what was said, as an error; nil if nothing was.
func (t *tail) text() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(string(t.b)); s != "" {
		return errors.New(s)
	}
	return nil
}
