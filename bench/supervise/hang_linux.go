package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portward/bench/harness"
)

// Portward's three figures.
const (
	silently  = "portward, SIGKILL alone"
	firstByte = "portward, first byte of stacks"
	withStack = "portward, death with stacks"
)

func hang(env harness.Env) harness.Group {
	return harness.Group{
		Name: "hang", Title: "how late after its limit a child that stands still is dead", Unit: harness.Seconds, Rounds: 12,
		Plot: harness.Plot{Log: true},
		Cases: []harness.Case{
			hanger(env, silently, "400ms", "100ms", "silent"),
			hanger(env, firstByte, "500ms", "2s"),
			hanger(env, withStack, "500ms", "2s"),
			contest(env, systemd(), "systemd", watchd, hangUnder(limit)),
			contest(env, monit(), "monit", watchd, hangUnder(monitLimit)),
		},
		Goals: []harness.Goal{
			{Of: silently, Most: 0.005, Text: "SIGKILL alone: dead within 5 ms of the limit"},
		},
		Notes: "From the child's last beat and its limit (0.5 s; monit's smallest is 1 s) to its death, seen by pidfd. " +
			"Portward's dead-man's timer is the kernel's: nobody wakes for it. SIGKILL alone is what is left for a process that " +
			"cannot be made to speak; otherwise SIGQUIT has the Go runtime write all stacks (of 20 goroutines) first. " +
			"systemd: WatchdogSec, the child pings at half of it. monit: the age of a file, in whole seconds, seen once a second. " +
			"runit, s6, daemontools and supervisor do not see a hang.",
	}
}

// hanger is a case of Portward's timer. Each sample has a process of its own.
func hanger(env harness.Env, name string, args ...string) harness.Case {
	return harness.Case{Name: name, Open: func(context.Context) (harness.Turn, error) {
		program, err := env.Program("supervise/hanger")
		if err != nil {
			return harness.Turn{}, err
		}
		dir, err := env.Dir("hanger")
		if err != nil {
			return harness.Turn{}, err
		}
		b, err := newBell(dir)
		if err != nil {
			return harness.Turn{}, err
		}
		sample := func(ctx context.Context, _ int) ([]float64, error) {
			late, err := hangOnce(ctx, b, name, program, args)
			return []float64{late.Seconds()}, err
		}
		return harness.Turn{Sample: sample, Close: b.close}, nil
	}}
}

// hangOnce answers how long after 500 ms without a beat the case's event came.
func hangOnce(ctx context.Context, b *bell, name, program string, args []string) (time.Duration, error) {
	stacks, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer stacks.Close()
	cmd := exec.CommandContext(ctx, program, append([]string{b.path}, args...)...)
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	write.Close()
	if err != nil {
		return 0, err
	}
	defer cmd.Wait() // it is killed, if not by its timer then by ctx
	last, v, err := standStill(ctx, b)
	if err != nil {
		return 0, err
	}
	defer v.close()
	seen, err := await(ctx, name, v, stacks)
	return seen - last - limit, err
}

// await waits for what a case is about. SyscallConn leaves the pipe as it is.
func await(ctx context.Context, name string, v victim, stacks *os.File) (at time.Duration, err error) {
	if name == firstByte {
		raw, err := stacks.SyscallConn()
		if err != nil {
			return 0, err
		}
		var seen error
		err = raw.Control(func(fd uintptr) { at, seen = readable(ctx, int(fd)) })
		if err != nil {
			return 0, err
		}
		return at, seen
	}
	return v.died(ctx)
}

// standStill hangs the next process that rings and answers its last beat.
func standStill(ctx context.Context, b *bell) (last time.Duration, v victim, err error) {
	ready, err := b.await(ctx, 'R')
	if err != nil {
		return 0, v, err
	}
	return hangChild(ctx, b, ready.pid)
}

func hangChild(ctx context.Context, b *bell, pid int) (last time.Duration, v victim, err error) {
	if v, err = watch(pid); err != nil {
		return 0, v, err
	}
	if _, err = v.signal(unix.SIGUSR1); err == nil {
		var r ring
		r, err = b.await(ctx, 'H')
		last = r.at
	}
	if err != nil {
		v.close()
		return 0, v, fmt.Errorf("the child does not hang: %w", err)
	}
	return last, v, nil
}

// hangUnder hangs a supervisor's child and waits for its death and for the next one.
func hangUnder(limit time.Duration) sampler {
	return func(ctx context.Context, s *site) ([]float64, error) {
		if err := sleep(ctx, calm-(now()-s.last.at)); err != nil {
			return nil, err
		}
		last, v, err := hangChild(ctx, s.bell, s.last.pid)
		if err != nil {
			return nil, err
		}
		defer v.close()
		at, err := v.died(ctx)
		if err != nil {
			return nil, fmt.Errorf("nobody killed the child: %w", err)
		}
		s.last, err = s.bell.await(ctx, 'R')
		return []float64{(at - last - limit).Seconds()}, err
	}
}
