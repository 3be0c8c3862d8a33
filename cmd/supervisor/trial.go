package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"portward/internal/bundle"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/update"
	"portward/internal/update/pipe"
	"portward/internal/watchdog"
	"portward/internal/wire"
)

// probeWithin is how long one surface may take from demand to release, the start
// of netchild aside.
const probeWithin = 10 * time.Second

// answerWithin is how long a child may take to say what it has to say.
const answerWithin = 30 * time.Second

// trial is where watching and updating meet: the live bundle's netchild is
// watched for the step's window, and has to serve a real surface.
func (s *supervisor) trial(ctx context.Context, step update.TrialStep) error {
	var healthy atomic.Int64
	if s.seal.Has("netchild") && step.First {
		if err := s.attend(ctx, step, &healthy, s.restartInto); err != nil {
			return err
		}
	}
	return s.attend(ctx, step, &healthy, func(ctx context.Context) error { return s.prove(ctx, step, &healthy) })
}

// attend does a part of a trial, and says every second how healthy it was so far
// for as long as the dog's loop answers: a supervisor that waits is alive.
// step.Healthy may end ctx, and is called from here alone.
func (s *supervisor) attend(ctx context.Context, step update.TrialStep, healthy *atomic.Int64, part func(context.Context) error) error {
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		soon, cancel := context.WithTimeout(ctx, time.Second)
		if _, err := s.dog.Status(soon); err == nil {
			step.Healthy(time.Duration(healthy.Load()))
		}
		cancel()
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
	}
}

// prove waits for the dog's verdict, and for the surface and the fetcher.
func (s *supervisor) prove(ctx context.Context, step update.TrialStep, healthy *atomic.Int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	spec := watchdog.TrialSpec{Deadline: 2*step.Window + 2*time.Minute, Seen: func(d time.Duration) {
		healthy.Store(int64(min(d, step.Window)))
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
	for range 2 {
		select {
		case err := <-passed:
			if err != nil {
				return err
			}
		case err := <-served:
			if err != nil {
				return s.blame(ctx, passed, err)
			}
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
func (s *supervisor) restartInto(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, time.Duration(s.cfg.StartWithin)+30*time.Second)
	defer cancel()
	before, err := s.dog.Status(ctx)
	if err != nil {
		return err
	}
	if err = s.dog.Restart(ctx); err == nil || parent.Err() != nil {
		return err
	}
	after, _ := s.dog.Status(parent) // without one nobody is to blame
	return s.blameStart(err, before.Life, after.Last)
}

// blameStart says whose fault it is that no life after that one checked in. What
// became of it or of earlier ones is not the release's, nor is an engine that
// does not answer.
func (s *supervisor) blameStart(err error, before watchdog.Life, last watchdog.Verdict) error {
	switch {
	case program.MachineFailed(err):
	case errors.Is(err, jobs.ErrStart):
		return &update.Failure{Class: watchdog.StartFailed.String(), Text: err.Error()}
	case s.beats && errors.Is(err, context.DeadlineExceeded): // where no kernel watches no engine tells of starts either
		return &update.Failure{Class: watchdog.NeverReady.String(), Text: "it did not check in", Doubt: true}
	case last.Life > before && last.Class != watchdog.None && last.Class < watchdog.Idle:
		return s.failure(last)
	}
	return fmt.Errorf("netchild's restart: %w", err)
}

// failure is a death for which the release answers. One that was killed from
// outside is in doubt; who hangs is killed too, but has another class.
func (s *supervisor) failure(v watchdog.Verdict) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &update.Failure{Class: v.Class.String(), Text: v.Text, Doubt: v.Class == watchdog.Crash && v.Life == s.killed}
}

// watchTrial waits for the dog's verdict.
func (s *supervisor) watchTrial(ctx context.Context, spec watchdog.TrialSpec, window time.Duration) error {
	v, err := s.dog.Trial(ctx, spec, window)
	if err == nil && v.Class != watchdog.Healthy {
		err = s.failure(v)
	}
	return err
}

// probe has one surface served by netchild, from demand to release.
func (s *supervisor) probe(ctx context.Context) error {
	s.admitProbe(ctx, true)
	defer s.admitProbe(context.WithoutCancel(ctx), false)
	within := time.Duration(s.cfg.StartWithin) + probeWithin
	ctx, cancel := context.WithTimeout(ctx, within+answerWithin)
	defer cancel()
	if os.Geteuid() == 0 && s.probeUID() == 0 {
		return errNoAccount
	}
	c := &program.Child{
		Path: bundle.Layout(program.BundleDir(s.p.Root)).Program("guiagent"), Args: []string{"--probe"}, As: s.probeUID(),
		Env: []string{jobs.SessionVariable + "=" + wire.ProbeSession, wire.ProbeVariable + "=" + within.String()},
	}
	err := s.p.StartChild(ctx, c)
	if err == nil {
		err = c.Wait(ctx)
	}
	switch {
	case program.MachineFailed(err):
		return fmt.Errorf("the probe: %w", err)
	case err != nil:
		return &update.Failure{Class: "probe", Text: fmt.Sprintf("no surface was served: %v", err), Doubt: true} // others may have filled the door
	}
	s.log("the probe's surface was served")
	return nil
}

// tryFetcher has the live bundle's fetcher answer a question that needs no
// network: a release that cannot fetch would be the last.
func (s *supervisor) tryFetcher(parent context.Context) error {
	if err := s.renewCache(); err != nil || s.cfg.Update.Repo == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(parent, answerWithin)
	defer cancel()
	c, end, err := s.startFetcher(ctx)
	died := err
	if err == nil {
		err = c.File(pipe.File{SHA256: strings.Repeat("0", 64)}, false, io.Discard, nil)
		died = end()
	}
	switch {
	case parent.Err() != nil:
		return parent.Err()
	case program.MachineFailed(died):
		return died
	}
	for _, silent := range []error{io.EOF, io.ErrUnexpectedEOF, os.ErrClosed, syscall.EPIPE, syscall.ENOEXEC, syscall.ENOENT, syscall.EACCES} {
		if errors.Is(err, silent) {
			return &update.Failure{Class: "fetcher", Text: fmt.Sprintf("it does not answer: %v (%v)", err, died)}
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
