package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/launchd"
)

// keptBySystem stays when the product goes, unless it is purged.
func keptBySystem() []string { return []string{"etc", "state", "log", "evidence"} }

// uninstall ends the jobs and takes away what install put there; and the files of
// those that were put there later: the rescue's for a trial, the login window's agent
// by whoever wanted it.
func (s *system) uninstall(ctx context.Context, purge bool) error {
	if err := s.alone(func() error { return s.uninstallAlone(ctx, purge) }); err != nil || !purge {
		return err
	}
	return removeIfThere(s.root()) // empty, but for who installs again meanwhile
}

func (s *system) uninstallAlone(ctx context.Context, purge bool) error {
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
		if err := s.clear(nil); err != nil {
			return err
		}
		s.say("removed everything below %s, and the accounts", s.root())
		return s.accounts.remove(ctx)
	}
	if _, err := os.Lstat(s.root()); errors.Is(err, fs.ErrNotExist) {
		s.say("nothing is installed")
		return nil
	}
	if err := s.clear(keptBySystem()); err != nil {
		return err
	}
	s.say("uninstalled; %s keeps %s", s.root(), strings.Join(keptBySystem(), ", "))
	return nil
}

// clear removes what is below the root, but for what is kept.
func (s *system) clear(keep []string) error {
	if err := s.setAside(keep); err != nil {
		return err
	}
	return durable.RemoveAll(s.staging())
}

// setAside moves what is to be removed to the staging directory, each in one step:
// whoever is killed here leaves a whole bundle or none.
func (s *system) setAside(keep []string) error {
	entries, err := os.ReadDir(s.root())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.renew()
	}
	if err != nil {
		return err
	}
	for _, name := range leaving(entries, keep) {
		err := durable.Rename(filepath.Join(s.root(), name), filepath.Join(s.staging(), name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // swept, or no bundle
			return err
		}
	}
	return nil
}

// leaving answers what goes, the bundle last: no updater's journal stays without it.
func leaving(entries []fs.DirEntry, keep []string) (names []string) {
	stay := append([]string{bundle.Name, stagingName, lockName}, keep...)
	for _, e := range entries {
		if !slices.Contains(stay, e.Name()) {
			names = append(names, e.Name())
		}
	}
	return append(names, bundle.Name)
}
