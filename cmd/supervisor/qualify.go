package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// qualify lets the supervisor of a staged bundle prove that it works, before
// it becomes the one that would have to undo itself: it updates a bundle in a
// directory of its own and checks in here, as netchild does.
func (s *supervisor) qualify(ctx context.Context, staged string) error {
	ctx, cancel := context.WithTimeout(ctx, qualifyWithin)
	defer cancel()
	seal, err := bundle.ReadSeal(staged)
	if err != nil {
		return err
	}
	dir := scratch(program.UpdateDir(s.p.Root))
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
	c, err := s.oneShot(ctx, programIn(staged, "supervisor"), 0, nil, nil, []string{rootEnv(dir)}, "--qualify")
	if err != nil {
		return err
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	select {
	case m := <-in:
		s.log("the supervisor of %s (build %s) has qualified", seal.Version, m.Build)
		return nil
	default:
		return errors.New("it ended in order and never checked in")
	}
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
		Policy: func(ev *xpcpeer.Evidence) error {
			exe, err := ev.Executable()
			if err != nil {
				return err
			}
			defer exe.Close()
			id, err := seal.Identify(exe)
			if err == nil && id != launchd.Supervisor {
				err = fmt.Errorf("pid %d runs %q, not %q", ev.PID, id, launchd.Supervisor)
			}
			return err
		},
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
	mine := filepath.Dir(filepath.Dir(filepath.Dir(self))) // BUNDLE/Contents/MacOS/supervisor
	if err := update.NoOp(ctx, filepath.Join(dir, "noop"), mine); err != nil {
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
