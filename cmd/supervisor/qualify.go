package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"portward/internal/bundle"
	"portward/internal/program"
	"portward/internal/update"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// qualifyWithin is how long a supervisor may take to prove itself.
const qualifyWithin = time.Minute

// maxSlow is how often in a row that takes too long until it is the release's
// fault: the machine may be busy.
const maxSlow = 3

// A candidate is the supervisor of a staged bundle while it proves itself.
type candidate struct {
	pid  int
	seal *bundle.Seal
	in   chan wire.CheckIn // holds one
}

// scratchDir is where a candidate may do as it likes.
func scratchDir(root string) string { return filepath.Join(program.UpdateDir(root), "qualify") }

// qualify lets the supervisor of a staged bundle prove that it works, before
// it becomes the one that would have to undo itself: it updates a bundle in a
// directory of its own and checks in here, as netchild does. That it does not
// is the release's fault, and a *update.Failure.
func (s *supervisor) qualify(parent context.Context, staged string) error {
	ctx, cancel := context.WithTimeout(parent, qualifyWithin)
	defer cancel()
	seal, err := bundle.ReadSeal(staged)
	if err != nil {
		return err
	}
	dir := scratchDir(s.p.Root)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	x := &candidate{seal: seal, in: make(chan wire.CheckIn, 1)}
	defer func() { s.mu.Lock(); s.candidate = nil; s.mu.Unlock() }()
	c, err := s.nominate(ctx, staged, x)
	if err == nil {
		err = c.Wait(ctx)
	}
	if err == nil && len(x.in) == 0 {
		err = errors.New("it ended in order and never checked in")
	}
	if parent.Err() != nil {
		return parent.Err()
	}
	if err := s.blameQualify(seal.Version, err); err != nil {
		return err
	}
	s.log("the supervisor of %s (build %s) has qualified", seal.Version, (<-x.in).Build)
	return nil
}

// verify has the system judge the app of a staged bundle, by the signature that
// the present one is known by; where it could not judge, that is nobody's fault. An
// attribute of quarantine needs no judge: what a seal does not allow was refused
// with the bundle, and nothing of ours sets it.
func (s *supervisor) verify(_ context.Context, staged string) error {
	err := s.p.CheckCode(bundle.Layout(staged).App(), bundle.Identifier)
	if !errors.Is(err, program.ErrCondemned) {
		return err
	}
	return &update.Failure{Class: "signature", Text: err.Error()}
}

// blameQualify says whose fault it is that a version did not qualify.
func (s *supervisor) blameQualify(version string, err error) error {
	times := s.slow[version] + 1
	s.slow = nil
	if errors.Is(err, context.DeadlineExceeded) {
		s.slow = map[string]int{version: times}
	}
	exit := (*exec.ExitError)(nil)
	again := errors.As(err, &exit) && exit.ExitCode() == program.ExitAgain // it says itself that it was the machine
	if err == nil || again || program.MachineFailed(err) || s.slow != nil && times < maxSlow {
		return err
	}
	return &update.Failure{Class: "unqualified", Text: fmt.Sprintf("its supervisor: %v", err)}
}

// nominate starts the candidate, whom the door knows before it can be there.
func (s *supervisor) nominate(ctx context.Context, staged string, x *candidate) (*program.Child, error) {
	c := &program.Child{Path: bundle.Layout(staged).Program("supervisor"), Args: []string{"--qualify"}}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.p.StartChild(ctx, c)
	if err == nil {
		x.pid, s.candidate = c.PID(), x
	}
	return c, err
}

// candidateOf answers the candidate that is that process; nil: it is none.
func (s *supervisor) candidateOf(pid int) *candidate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.candidate == nil || s.candidate.pid != pid {
		return nil
	}
	return s.candidate
}

// checkIn is all that a candidate may say.
func (x *candidate) checkIn(_ *xpcpeer.Conn, m *xpcpeer.Message) {
	c, err := wire.ParseCheckIn(m.Dict())
	if err == nil {
		_, err = wire.Negotiate(c.Min, c.Max)
	}
	if err != nil {
		m.Reply(wire.Refusal{Code: wire.CodeMalformed, Text: err.Error()}.Dict())
		return
	}
	select {
	case x.in <- c:
	default:
	}
	m.Reply(wire.Welcome{Version: wire.VersionMax, Build: program.Build()}.Dict())
}

// proveMyself is the other side of qualify.
func proveMyself() (int, error) {
	p, err := program.Start(launchd.Supervisor)
	if err != nil {
		return program.ExitConfig, err
	}
	ctx, stop := p.Context()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, qualifyWithin)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return program.ExitConfig, err
	}
	if err := update.NoOp(ctx, filepath.Join(scratchDir(p.Root), "noop"), bundle.Of(self)); err != nil {
		if program.MachineFailed(err) {
			return program.ExitAgain, err
		}
		return program.ExitInternal, fmt.Errorf("an update to itself: %w", err)
	}
	c := xpcpeer.Dial(p.Transport(), p.Name(launchd.CheckInService), xpcpeer.Config{
		Requirement: p.Requirement(launchd.Supervisor),
		Policy: func(ev *xpcpeer.Evidence) error {
			if int(ev.UID) != os.Geteuid() {
				return fmt.Errorf("uid %d answers", ev.UID)
			}
			return nil
		},
	})
	defer c.Close()
	d, err := c.Call(ctx, wire.CheckIn{Build: program.Build(), Min: wire.VersionMin, Max: wire.VersionMax}.Dict())
	if err == nil {
		_, err = wire.ParseWelcome(d)
	}
	if err != nil {
		return program.ExitInternal, fmt.Errorf("check-in: %w", err)
	}
	return program.ExitOK, nil
}
