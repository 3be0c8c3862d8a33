package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/update"
	"portward/internal/update/pipe"
	"portward/internal/watchdog"
	"portward/internal/wire"
)

// probeWithin is how long one surface may take from demand to release.
const probeWithin = 30 * time.Second

// trial is where watching and updating meet: the live bundle's netchild is
// watched for the step's window, and has to serve a real surface.
func (s *supervisor) trial(ctx context.Context, step update.TrialStep) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.seal.Has("netchild") && step.First {
		if err := s.restartInto(ctx); err != nil {
			return err
		}
	}
	healthy := make(chan time.Duration, 1)
	spec := watchdog.TrialSpec{Deadline: 2*step.Window + 2*time.Minute, Seen: func(d time.Duration) {
		select {
		case healthy <- d:
		default:
		}
	}}
	window := step.Window
	if !step.First {
		window += time.Duration(s.cfg.HangLimit + s.cfg.HangGrace) // a hang that began within it is known by then
	}
	passed := make(chan error, 1)
	go func() { passed <- s.watchTrial(ctx, spec, window) }()
	served := make(chan error, 1)
	go func() {
		err := s.probe(ctx)
		if err == nil {
			err = s.tryFetcher(ctx)
		}
		served <- err
	}()
	for waiting := 2; waiting > 0; {
		select {
		case d := <-healthy:
			step.Healthy(min(d, step.Window))
		case err := <-passed:
			if err != nil {
				return err
			}
			waiting--
		case err := <-served:
			if err != nil {
				return s.blame(ctx, passed, err)
			}
			waiting--
		}
	}
	return nil
}

// blame answers what a probe that was not served means: the death that is
// known by now says more than the probe.
func (s *supervisor) blame(ctx context.Context, passed <-chan error, probe error) error {
	select {
	case err := <-passed:
		if err != nil {
			return err
		}
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	return probe
}

// restartInto ends the netchild of the bundle before, and starts this one's.
func (s *supervisor) restartInto(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.cfg.StartWithin)+30*time.Second)
	defer cancel()
	err := s.dog.Restart(ctx)
	if err == nil {
		return nil
	}
	st, serr := s.dog.Status(context.WithoutCancel(ctx))
	if serr != nil {
		return serr
	}
	if errors.Is(err, jobs.ErrStart) {
		return &update.Failure{Class: watchdog.StartFailed.String(), Text: err.Error()}
	}
	if class := st.Last.Class; class != watchdog.None && class != watchdog.Asked {
		return &update.Failure{Class: class.String(), Text: st.Last.Text}
	}
	return &update.Failure{Class: watchdog.NeverReady.String(), Text: err.Error()}
}

// watchTrial waits for the dog's verdict.
func (s *supervisor) watchTrial(ctx context.Context, spec watchdog.TrialSpec, window time.Duration) error {
	v, err := s.dog.Trial(ctx, spec, window)
	if err != nil {
		return err
	}
	if v.Class != watchdog.Healthy {
		return &update.Failure{Class: v.Class.String(), Text: v.Text}
	}
	return nil
}

// probe has one surface served by netchild, from demand to release.
func (s *supervisor) probe(ctx context.Context) error {
	s.admitProbe(ctx, true)
	defer s.admitProbe(context.WithoutCancel(ctx), false)
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	path := programIn(program.BundleDir(s.p.Root), "guiagent")
	env := []string{rootEnv(s.p.Root), jobs.SessionVariable + "=" + wire.ProbeSession}
	c, err := s.oneShot(ctx, path, s.probeUID(), nil, nil, env, "--probe")
	if err == nil {
		err = c.run(ctx)
	}
	if err != nil {
		return &update.Failure{Class: "probe", Text: fmt.Sprintf("no surface was served: %v", err)}
	}
	s.log("the probe's surface was served")
	return nil
}

// tryFetcher has the live bundle's fetcher answer a question that needs no
// network: a release that cannot fetch would be the last.
func (s *supervisor) tryFetcher(parent context.Context) error {
	if s.cfg.Update.Repo == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(parent, probeWithin)
	defer cancel()
	c, end, err := s.fetch(ctx)
	if err == nil {
		err = c.File(pipe.File{SHA256: strings.Repeat("0", 64)}, false, io.Discard, nil)
		end()
	}
	switch {
	case parent.Err() != nil:
		return parent.Err()
	case machines(err):
		return err
	}
	for _, silent := range []error{io.EOF, io.ErrUnexpectedEOF, os.ErrClosed, syscall.EPIPE, syscall.ENOEXEC, syscall.ENOENT, syscall.EACCES} {
		if errors.Is(err, silent) {
			return &update.Failure{Class: "fetcher", Text: fmt.Sprintf("it does not answer: %v", err)}
		}
	}
	return nil // it has nothing prepared, and says so
}

// probeUID is whom the probe runs as: an account that owns nothing, or, where
// the supervisor is not root, its own.
func (s *supervisor) probeUID() uint32 {
	if os.Geteuid() == 0 {
		return s.cfg.Update.ProbeUID
	}
	return uint32(os.Geteuid())
}

// admitProbe lists the probe among the logins, or no longer.
func (s *supervisor) admitProbe(ctx context.Context, on bool) {
	s.mu.Lock()
	s.probing = on
	s.mu.Unlock()
	if err := s.refreshSessions(ctx); err != nil {
		s.log("sessions: %v", err)
	}
}

// withProbeLocked adds the probe, a login that does not exist, to the logins while it is admitted.
func (s *supervisor) withProbeLocked(infos []wire.SessionInfo) []wire.SessionInfo {
	if !s.probing {
		return infos
	}
	return append(infos, wire.SessionInfo{ID: wire.ProbeSession, UID: uint64(s.probeUID())})
}
