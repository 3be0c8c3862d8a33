package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portward/internal/durable"
	"portward/launchd"
)

// keptBySystem stays when the product goes, unless it is purged.
func keptBySystem() []string { return []string{"etc", "state", "log", "evidence"} }

// uninstall ends the jobs and takes away what install put there; and the files of
// those that were put there later: the rescue's for a trial, the login window's agent
// by whoever wanted it.
func (s *system) uninstall(ctx context.Context, purge bool) error {
	if err := s.unload(ctx); err != nil {
		return err
	}
	for _, path := range []string{
		s.daemon(launchd.Supervisor), s.daemon(launchd.Rescue), s.agent(launchd.GUIAgent), s.agent(launchd.LoginAgent),
	} {
		if err := removeIfThere(path); err != nil {
			return err
		}
	}
	if purge {
		if err := durable.RemoveAll(s.root()); err != nil {
			return err
		}
		s.say("removed everything below %s, and the accounts", s.root())
		return s.accounts.remove(ctx)
	}
	return s.clear()
}

// clear removes what is below the root, but for what is kept.
func (s *system) clear() error {
	entries, err := os.ReadDir(s.root())
	if errors.Is(err, fs.ErrNotExist) {
		s.say("nothing is installed")
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains(keptBySystem(), e.Name()) {
			continue
		}
		if err := durable.RemoveAll(filepath.Join(s.root(), e.Name())); err != nil {
			return err
		}
	}
	s.say("uninstalled; %s keeps %s", s.root(), strings.Join(keptBySystem(), ", "))
	return nil
}
