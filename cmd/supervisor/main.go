// Command supervisor keeps netchild alive: it learns of its lives from the job
// engine and from netchild's check-in, judges its deaths, holds it when it
// dies too often, replaces the bundle by newer releases and undoes those that
// fail their trial, and publishes what it knows. It must never touch the
// network, a picture, or a message from a user's process; the fetcher's bytes
// it believes only when they are signed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cenkalti/backoff/v4"

	"portward/internal/bundle"
	"portward/internal/config"
	"portward/internal/deadman"
	"portward/internal/evidence"
	"portward/internal/fault"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/update"
	"portward/internal/watchdog"
	"portward/launchd"
)

// selfLimit is how long the supervisor's own loop may stand still before the
// kernel ends it; its job starts it again and netchild is adopted.
const (
	selfLimit = 2 * time.Minute
	selfGrace = 2 * time.Second
)

// netchild is the job that is watched.
var netchild = jobs.MakeTarget("system", launchd.NetChild)

const usage = "usage: supervisor [--rescue | --qualify]\n\nStarted by its job engine; it keeps netchild alive until it is told to stop.\n"

func main() {
	body := run
	switch args := os.Args[1:]; {
	case len(args) == 1 && args[0] == "--help":
		body = func() (int, error) { fmt.Fprint(os.Stderr, usage); return program.ExitOK, nil }
	case len(args) == 1 && args[0] == "--rescue":
		body = rescue
	case len(args) == 1 && args[0] == "--qualify":
		body = proveMyself
	case len(args) > 0:
		body = func() (int, error) {
			return program.ExitUsage, fmt.Errorf("no argument %q: this program is started by its job engine", args[0])
		}
	}
	os.Exit(program.Main("supervisor", body))
}

func run() (int, error) {
	p, err := program.Start(launchd.NetChild, launchd.Supervisor)
	if err != nil {
		return program.ExitConfig, err
	}
	ctx, cancel := p.Context()
	defer cancel()
	cfg, err := config.Load(p.Root)
	if err != nil {
		return program.ExitConfig, err
	}
	engine, err := p.Engine(cancel)
	if err != nil {
		return program.ExitConfig, err
	}
	store, err := evidence.Open(program.EvidenceDir(p.Root), evidence.Limits{})
	if err != nil {
		return program.ExitConfig, err
	}

	s := &supervisor{p: p, cfg: cfg, engine: engine, store: store, log: program.Log("supervisor"), lives: map[watchdog.Life]*watched{}, beats: !deadman.Supported(), desk: openDesk()}
	defer s.desk.clear()
	s.dog = watchdog.New(s.patience(), s.env(ctx))
	switch err = s.serve(ctx); {
	case ctx.Err() != nil:
		return program.ExitOK, nil // whatever the stop interrupted
	case errors.Is(err, update.ErrHandOver):
		s.log("%v", err)
		return program.ExitAgain, nil
	}
	return program.ExitOK, err
}

// patience is the dog's policy. Beats are expected where no kernel timer is.
func (s *supervisor) patience() watchdog.Config {
	c := watchdog.Config{
		StartWithin: time.Duration(s.cfg.StartWithin),
		Healthy:     time.Duration(s.cfg.Healthy),
		LostWithin:  5 * time.Second,
		FastDeaths:  s.cfg.FastDeaths,
		Backoff:     newBackoff(s.cfg),
	}
	if s.beats {
		c.BeatWithin = time.Duration(s.cfg.HangLimit)
		c.LostWithin += time.Duration(s.cfg.HangGrace) // for the last words
	}
	return c
}

// newBackoff answers the pauses between attempts of a quarantined child. They
// are exact, so that the announced time is the true one, and never run out.
func newBackoff(cfg config.Config) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(time.Duration(cfg.BackoffMin)),
		backoff.WithMaxInterval(time.Duration(cfg.BackoffMax)),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0),
	)
}

// serve runs until ctx ends or another bundle is in place. Order matters: what
// an update left is recovered before anything else, the dog hears the engine
// before the door opens, and netchild's job is loaded only when its bundle was
// verified and somebody listens to its check-in.
func (s *supervisor) serve(ctx context.Context) error {
	if err := s.openUpdater(); err != nil {
		return err
	}
	dead := make(chan error, 2)
	go func() { dead <- s.dog.Run(ctx) }()
	go func() {
		if err := deadman.Keep(ctx, selfLimit, selfGrace, func(ctx context.Context) error {
			_, err := s.dog.Status(ctx)
			return err
		}); err != nil && ctx.Err() == nil {
			s.log("own loop: %v", err)
		}
	}()
	if err := s.begin(ctx); err != nil {
		if program.MachineFailed(err) {
			s.updater.Stumble(err)
		}
		return err
	}
	s.goPublic()
	go s.hearRequests(ctx)
	go fault.Watch(s.p.Files[fault.Name], func(f fault.Fault) {
		s.log("told to fail: %v", f)
		fault.Actor{Loop: func(run func()) { run() }}.Do(f)
	})
	s.log("up: build %s, life %d, netchild limit %v", s.p.Build, s.p.Life, time.Duration(s.cfg.HangLimit))
	go func() { dead <- s.updater.Run(ctx) }()
	return <-dead
}

// begin hears the engine, opens the door for netchild and loads its job, if the
// bundle has a netchild; if not, it sees to it that no earlier one runs on. The
// door closes with the process.
func (s *supervisor) begin(ctx context.Context) (err error) {
	if err = s.belongsHere(); err == nil {
		err = s.hear(ctx)
	}
	if s.seal = s.updater.Live(); s.seal != nil && err == nil {
		s.known, err = bundle.OpenKnown(program.BundleDir(s.p.Root), program.RetainedSeal(s.p.Root))
	}
	if err == nil {
		err = s.openDoor()
	}
	switch {
	case err != nil || s.seal == nil:
		return err
	case s.seal.Has("netchild"):
		return s.load(ctx, netchild)
	}
	return s.unload(ctx, netchild)
}

// load puts a job of the bundle into the engine unless it is there already, as it
// is when this supervisor succeeds another: its plist is the same in every release.
func (s *supervisor) load(ctx context.Context, job jobs.Target) error {
	_, err := s.engine.State(ctx, job)
	if errors.Is(err, jobs.ErrNotLoaded) {
		err = s.engine.Bootstrap(ctx, job.Domain(), s.p.Plist(job))
	}
	if err != nil {
		return fmt.Errorf("loading %s: %w", job, err)
	}
	return nil
}

// unload takes a job out of the engine, if it is there.
func (s *supervisor) unload(ctx context.Context, job jobs.Target) error {
	err := s.engine.Bootout(ctx, job)
	if errors.Is(err, jobs.ErrNotLoaded) {
		return nil
	}
	return err
}
