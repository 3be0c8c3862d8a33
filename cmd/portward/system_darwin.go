package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"portward/internal/jobs"
	"portward/internal/program"
)

// openSystem answers this Mac, for root.
func openSystem() (*system, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("this changes the whole Mac, and only root may\nhint: sudo portward ...; portward up needs no rights")
	}
	engine, err := jobs.NewLaunchd(jobs.LaunchdOptions{Sessions: program.Logins, Log: sayProgress})
	if err != nil {
		return nil, err
	}
	return &system{engine: engine, accounts: directory{dscl}, say: sayProgress, close: engine.Close}, nil
}

func dscl(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "/usr/bin/dscl", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("dscl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
