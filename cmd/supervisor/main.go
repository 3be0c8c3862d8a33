// Command supervisor keeps netchild alive: it learns of its lives from the job
// engine and from netchild's check-in, judges its deaths, holds it when it
// dies too often, and publishes what it knows. It must never touch the
// network, a picture, or a message from a user's process.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v4"

	"portward/internal/bundle"
	"portward/internal/config"
	"portward/internal/deadman"
	"portward/internal/evidence"
	"portward/internal/fault"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/watchdog"
	"portward/launchd"
)

// selfLimit is how long the supervisor's own loop may stand still before the
// kernel ends it; its job starts it again and netchild is adopted.
const (
	selfLimit = 30 * time.Second
	selfGrace = 2 * time.Second
)

// netchild is the job that is watched.
var netchild = jobs.MakeTarget("system", launchd.NetChild)

func main() { os.Exit(program.Main("supervisor", run)) }

func run() (int, error) {
	p, err := program.Start()
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

	s := &supervisor{p: p, cfg: cfg, engine: engine, store: store, log: program.Log("supervisor"), lives: map[watchdog.Life]*watched{}}
	s.dog = watchdog.New(watchdog.Config{
		StartWithin: time.Duration(cfg.StartWithin),
		Healthy:     time.Duration(cfg.Healthy),
		LostWithin:  5 * time.Second,
		FastDeaths:  cfg.FastDeaths,
		Backoff:     newBackoff(cfg),
	}, s.env(ctx))
	err = s.serve(ctx)
	if ctx.Err() != nil {
		return program.ExitOK, nil // whatever the stop interrupted
	}
	return program.ExitOK, err
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

// serve runs until ctx ends. Order matters: the dog hears the engine before
// the door opens, and netchild's job is loaded only when its bundle was
// verified and somebody listens to its check-in.
func (s *supervisor) serve(ctx context.Context) error {
	dead := make(chan error, 1)
	go func() { dead <- s.dog.Run(ctx) }()
	go func() {
		if err := deadman.Keep(ctx, selfLimit, selfGrace, func(ctx context.Context) error {
			_, err := s.dog.Status(ctx)
			return err
		}); err != nil && ctx.Err() == nil {
			s.log("own loop: %v", err)
		}
	}()
	if err := s.hear(ctx); err != nil {
		return err
	}
	seal, err := bundle.Verify(program.BundleDir(s.p.Root))
	if err != nil {
		return fmt.Errorf("the installed bundle: %w", err)
	}
	s.seal = seal
	door, err := s.openDoor()
	if err != nil {
		return err
	}
	defer door.Close()
	if err := s.load(ctx); err != nil {
		return err
	}
	s.goPublic()
	go fault.Watch(s.p.Files[fault.Name], func(f fault.Fault) {
		s.log("told to fail: %v", f)
		fault.Actor{Loop: func(run func()) { run() }}.Do(f)
	})
	s.log("up: build %s, life %d, netchild limit %v", s.p.Build, s.p.Life, time.Duration(s.cfg.HangLimit))
	return <-dead
}

// load puts netchild's job into the engine unless it is there already, as it
// is when this supervisor succeeds another.
func (s *supervisor) load(ctx context.Context) error {
	_, err := s.engine.State(ctx, netchild)
	if errors.Is(err, jobs.ErrNotLoaded) {
		plist := filepath.Join(bundle.Layout(program.BundleDir(s.p.Root)).LaunchDaemons(), launchd.NetChild+".plist")
		err = s.engine.Bootstrap(ctx, netchild.Domain(), plist)
	}
	if err != nil {
		return fmt.Errorf("netchild's job: %w", err)
	}
	return nil
}
