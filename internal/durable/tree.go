package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// MkdirAll makes path a directory, with whatever parents are missing. What it
// makes has this mode, whatever the umask; what was there already is left
// alone and taken to be on the disk.
func MkdirAll(path string, mode os.FileMode) error {
	return theDisk.mkdirAll(path, mode)
}

// Rename is rename(2): one step, an existing new name is replaced. Both names
// must lie on one file system.
func Rename(from, to string) error {
	return theDisk.rename(from, to)
}

// Remove removes one file or empty directory. A path that is not there is an
// error, fs.ErrNotExist.
func Remove(path string) error {
	return theDisk.remove(path, os.Remove)
}

// RemoveAll removes path and what is below it. A path that is not there is no
// error. It is not one step: a power cut may leave a part of the tree, so
// Rename a tree away first if its name matters.
func RemoveAll(path string) error {
	err := theDisk.remove(path, os.RemoveAll)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the directory itself is not there
	}
	return err
}

// Exchange makes two existing paths on one file system, of any kind, trade
// places in one step. It answers errors.ErrUnsupported where the platform or
// the file system cannot, and then has done nothing.
func Exchange(a, b string) error {
	return theDisk.exchange(a, b)
}

func (d disk) mkdirAll(path string, mode os.FileMode) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(filepath.Clean(path))
	if err := d.mkdirAll(parent, mode); err != nil {
		return err
	}
	return d.mkdir(path, parent, mode)
}

func (d disk) mkdir(path, parent string, mode os.FileMode) error {
	if err := os.Mkdir(path, mode.Perm()); err != nil {
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return nil // made by somebody else in between
		}
		return err
	}
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Chmod(mode.Perm()); err != nil {
		return err
	}
	if err := d.sync(dir); err != nil {
		return err
	}
	return d.syncDir(parent)
}

func (d disk) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return d.syncParents(from, to)
}

func (d disk) remove(path string, remove func(string) error) error {
	if err := remove(path); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(filepath.Clean(path)))
}

func (d disk) exchange(a, b string) error {
	if err := exchange(a, b); err != nil {
		return err
	}
	return d.syncParents(a, b)
}

// sweep goes on after an error: what can be removed is.
func (d disk) sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) && e.Type().IsRegular() {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// syncParents syncs the directory that gained the name before the one that
// lost it: a power cut in between leaves two names, not none.
func (d disk) syncParents(from, to string) error {
	old, new := filepath.Dir(filepath.Clean(from)), filepath.Dir(filepath.Clean(to))
	if err := d.syncDir(new); err != nil || old == new {
		return err
	}
	return d.syncDir(old)
}

func (d disk) syncDir(path string) error {
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := d.sync(dir); err != nil {
		return fmt.Errorf("the directory's entries: %w", err)
	}
	return nil
}
