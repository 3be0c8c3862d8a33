package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"portward/internal/config"
	"portward/internal/durable"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/update"
	"portward/launchd"
)

// The jobs of the supervisor itself.
var (
	rescueTarget = jobs.MakeTarget("system", launchd.Rescue)
	ownTarget    = jobs.MakeTarget("system", launchd.Supervisor)
)

// rescue is one look of the rescue job, in the program of the retained bundle:
// a trial whose supervisor gives no sign of life is undone, and the good
// supervisor started, by each look until that one has begun.
func rescue() (int, error) {
	p, err := program.Start()
	if err != nil {
		return program.ExitConfig, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cfg, err := config.Load(p.Root)
	if err != nil {
		cfg = config.Default() // what is broken may be the configuration
	}
	ucfg, err := updateConfig(p.Root, cfg)
	if err != nil {
		return program.ExitInternal, err
	}
	kick, err := update.Rescue(ucfg)
	if err != nil || !kick {
		return program.ExitOK, err
	}
	engine, err := p.Engine(func() {})
	if err != nil {
		return program.ExitConfig, err
	}
	program.Log("rescue")("the supervisor is ended, and the one of the installed bundle started")
	if err := engine.Kickstart(ctx, ownTarget, true); err != nil {
		return program.ExitAgain, fmt.Errorf("the supervisor: %w", err)
	}
	return program.ExitOK, nil
}

// atBoot has a job loaded when the machine starts, too, or no longer: its file lies
// in dir then. There is no dir where no engine looks.
func atBoot(dir, plist string, on bool) error {
	to := filepath.Join(dir, filepath.Base(plist))
	switch {
	case dir == "":
		return nil
	case on:
		return durable.Copy(plist, to, 0o644)
	}
	return durable.RemoveAll(to)
}
