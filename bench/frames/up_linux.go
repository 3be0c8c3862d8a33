package frames

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"portward/bench/harness"
)

const (
	killsPerTurn = 4
	healthy      = 200 * time.Millisecond // netchild's, before it is killed again
	upWithin     = 30 * time.Second
	downWithin   = 20 * time.Second
)

// An up is the whole product, running.
type up struct {
	portward, root string
	cmd            *exec.Cmd
	said           *bytes.Buffer
}

// A glance is what `portward status --json` tells of netchild and the one login.
type glance struct {
	Jobs []struct {
		Label string
		PID   int
		Life  uint64
	}
	Sessions []struct {
		Frames    uint64
		Gaps      uint64
		LastGapMS float64 `json:"last_gap_ms"`
		Broken    bool
	}
}

// openUp starts the product as a person would.
func (s studio) openUp(ctx context.Context) (harness.Turn, error) {
	dir, err := s.env.Portward()
	if err != nil {
		return harness.Turn{}, err
	}
	root, err := s.env.Dir("up")
	if err != nil {
		return harness.Turn{}, err
	}
	u := &up{portward: filepath.Join(dir, "portward"), root: filepath.Join(root, "root"), said: &bytes.Buffer{}}
	u.cmd = exec.Command(u.portward, "up", "--root", u.root, "--sessions", "1", "--source", "testcard", "--healthy", healthy.String())
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	u.cmd.Stdout, u.cmd.Stderr = u.said, u.said
	if err := u.cmd.Start(); err != nil {
		return harness.Turn{}, err
	}
	if _, err := u.until(ctx, streams); err != nil {
		return harness.Turn{}, errors.Join(err, u.close())
	}
	return harness.Turn{Sample: u.kills, Close: u.close}, nil
}

func streams(g glance) bool {
	return len(g.Sessions) == 1 && g.Sessions[0].Frames > 30 && !g.Sessions[0].Broken
}

// kills answers the gaps that several deaths of netchild made.
func (u *up) kills(ctx context.Context, _ int) ([]float64, error) {
	var gaps []float64
	for range killsPerTurn {
		gap, err := u.kill(ctx)
		if err != nil {
			return gaps, err
		}
		gaps = append(gaps, gap)
	}
	return gaps, nil
}

// kill ends a netchild that was healthy, leaves everybody alone while it is
// replaced, and then asks how long the gap was.
func (u *up) kill(ctx context.Context) (float64, error) {
	time.Sleep(2 * healthy)
	before, err := u.until(ctx, streams)
	if err != nil {
		return 0, err
	}
	pid := before.netchild()
	if pid <= 0 {
		return 0, errors.New("status tells of no netchild")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return 0, err
	}
	time.Sleep(healthy)
	after, err := u.until(ctx, func(g glance) bool { return streams(g) && g.Sessions[0].Gaps > before.Sessions[0].Gaps })
	if err != nil {
		return 0, err
	}
	return after.Sessions[0].LastGapMS / 1e3, nil
}

func (g glance) netchild() int {
	for _, j := range g.Jobs {
		if strings.Contains(j.Label, "netchild") {
			return j.PID
		}
	}
	return 0
}

// until asks, seldom, until ok holds.
func (u *up) until(ctx context.Context, ok func(glance) bool) (glance, error) {
	var last error
	for deadline := time.Now().Add(upWithin); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		var g glance
		out, err := exec.CommandContext(ctx, u.portward, "status", "--json", "--root", u.root).Output()
		if err == nil {
			err = json.Unmarshal(out, &g)
		}
		if last = err; err == nil && ok(g) {
			return g, nil
		}
	}
	return glance{}, fmt.Errorf("up does not stream: %w; it said:\n%s", errors.Join(ctx.Err(), last), u.said)
}

// close asks up to stop, and kills it when it does not.
func (u *up) close() error {
	u.cmd.Process.Signal(os.Interrupt)
	timer := time.AfterFunc(downWithin, func() { syscall.Kill(-u.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	if err := u.cmd.Wait(); err != nil {
		return fmt.Errorf("up: %w; it said:\n%s", err, u.said)
	}
	return nil
}
