package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"portward/internal/durable"
	"portward/launchd"
)

// lockName is the lock's, while somebody changes the installation.
const lockName = "install.lock"

func (s *system) lock() string { return filepath.Join(s.root(), lockName) }

// alone does something while no other install or uninstall is at work. Where
// nothing is installed there is nothing to share.
func (s *system) alone(do func() error) error {
	lock, err := durable.TryLock(s.lock())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return do()
	case errors.Is(err, durable.ErrLocked):
		return fmt.Errorf("another install or uninstall is at work: %w\nhint: wait for it", err)
	case err != nil:
		return err
	}
	defer lock.Close()
	defer os.Remove(s.lock()) // who waits for it notices
	return do()
}

// renew makes an empty staging directory, and removes what killed ones left there
// and beside what they were writing.
func (s *system) renew() error {
	if err := durable.RemoveAll(s.staging()); err != nil {
		return err
	}
	for _, dir := range []string{s.root(), filepath.Join(s.root(), "etc")} {
		if err := durable.Sweep(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := s.sweepDaemons(); err != nil {
		return err
	}
	return durable.MkdirAll(s.staging(), 0o700)
}

// unfinished is the name of a file that was never given its own.
var unfinished = regexp.MustCompile(`^\.tmp-[A-Z2-7]{26}$`)

// abandoned is how old an unfinished file is at least whose writer is gone.
const abandoned = time.Minute

// sweepDaemons removes from the daemons' directory what a killed supervisor was
// writing there. That directory is everybody's, and another supervisor may be at it:
// only a file goes that is named so, that nobody touched for a while, and that is
// empty or one of our property lists.
func (s *system) sweepDaemons() error {
	root, err := os.OpenRoot(filepath.Dir(s.daemon(launchd.Rescue)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	for _, e := range entries {
		info, infoErr := e.Info()
		if infoErr != nil || !unfinished.MatchString(e.Name()) || time.Since(info.ModTime()) < abandoned {
			continue
		}
		data, readErr := readPlain(root, e.Name())
		if readErr == nil && (len(data) == 0 || bytes.Contains(data, []byte("<string>dev.portward."))) {
			err = errors.Join(err, root.Remove(e.Name()))
		}
	}
	return err
}
