package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"portward/internal/durable"
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
	return durable.MkdirAll(s.staging(), 0o700)
}
