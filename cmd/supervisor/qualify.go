package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
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
	dir := filepath.Join(program.UpdateDir(s.p.Root), "qualify")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(program.RunDir(dir), 0o700)); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	in := make(chan wire.CheckIn, 1)
	door, err := openQualifyDoor(dir, seal, in)
	if err != nil {
		return err
	}
	defer door.Close()
	c, err := s.oneShot(ctx, bundle.Layout(staged).Program("supervisor"), 0, nil, nil, []string{rootEnv(dir)}, "--qualify")
	if err == nil {
		err = c.run(ctx)
	}
	if err == nil && len(in) == 0 {
		err = errors.New("it ended in order and never checked in")
	}
	if parent.Err() != nil {
		return parent.Err()
	}
	if err := s.blameQualify(seal.Version, err); err != nil {
		return err
	}
	s.log("the supervisor of %s (build %s) has qualified", seal.Version, (<-in).Build)
	return nil
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
	if err == nil || again || machines(err) || s.slow != nil && times < maxSlow {
		return err
	}
	return &update.Failure{Class: "unqualified", Text: fmt.Sprintf("its supervisor: %v", err)}
}

// machines says whether it is this machine that failed, and no release: it has
// no room, or no disk that works. A child that died of a SIGKILL died of too
// little memory: the errors of those that we kill are their context's.
func machines(err error) bool {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	}
	return slices.ContainsFunc([]error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.EIO, syscall.EROFS,
	}, func(e error) bool { return errors.Is(err, e) })
}

// openQualifyDoor listens for the check-in of the staged bundle's supervisor.
func openQualifyDoor(dir string, seal *bundle.Seal, in chan<- wire.CheckIn) (*xpcpeer.Listener, error) {
	f, err := xpcpeer.BindUnix(program.RunDir(dir), launchd.CheckInService, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the listener has its own
	t := xpcpeer.Unix(program.RunDir(dir), map[string]*os.File{launchd.CheckInService: f})
	return xpcpeer.Listen(t, launchd.CheckInService, xpcpeer.Config{
		Policy: func(ev *xpcpeer.Evidence) error { return runs(ev, seal, launchd.Supervisor) },
		Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
			return xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
				c, err := wire.ParseCheckIn(m.Dict())
				if err == nil {
					_, err = wire.Negotiate(c.Min, c.Max)
				}
				if err != nil {
					m.Reply(wire.Refusal{Code: wire.CodeMalformed, Text: err.Error()}.Dict())
					return
				}
				select {
				case in <- c:
				default:
				}
				m.Reply(wire.Welcome{Version: wire.VersionMax, Build: program.Build()}.Dict())
			}}, nil
		},
	})
}

// proveMyself is the other side of qualify. Root is a directory for this alone.
func proveMyself() (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), qualifyWithin)
	defer cancel()
	dir := os.Getenv(launchd.RootVariable)
	self, err := os.Executable()
	if err != nil || !filepath.IsAbs(dir) {
		return program.ExitConfig, fmt.Errorf("%s is %q: %w", launchd.RootVariable, dir, err)
	}
	mine := bundle.Of(self)
	if err := update.NoOp(ctx, filepath.Join(dir, "noop"), mine); err != nil {
		if machines(err) {
			return program.ExitAgain, err
		}
		return program.ExitInternal, fmt.Errorf("an update to itself: %w", err)
	}
	c := xpcpeer.Dial(xpcpeer.Unix(program.RunDir(dir), nil), launchd.CheckInService, xpcpeer.Config{
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
