package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Link makes to, where nothing may be yet, the same content as the regular file
// from without copying it: a hard link, on macOS a clone (a new inode of shared
// blocks). Mode, owner and attributes come along. Where a link cannot be, across
// file systems or at a limit of one, it answers errors.ErrUnsupported and has
// done nothing: copy the bytes then.
//
// A hard link is one file with two names. Link only what nobody ever writes
// into.
func Link(from, to string) error {
	return theDisk.link(from, to)
}

func (d disk) link(from, to string) error {
	if info, err := os.Lstat(from); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: fmt.Errorf("not a regular file: %v", info.Mode())}
	}
	if err := link(from, to); err != nil {
		if cannotLink(err) {
			err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
		return &os.LinkError{Op: "link", Old: from, New: to, Err: err}
	}
	if err := d.syncFile(to); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(filepath.Clean(to)))
}

// Copy makes to, whatever lies there, the same content as the regular file from:
// by a Link, or, where none can be, by its bytes in a new file of that mode.
func Copy(from, to string, mode os.FileMode) error {
	if err := RemoveAll(to); err != nil {
		return err
	}
	err := Link(from, to)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return WriteFrom(to, f, mode)
}

// cannotLink: EPERM is also what a file system without hard links says, and the
// kernel of one that protects this file against them (link(2), ERRORS).
func cannotLink(err error) bool {
	for _, e := range []error{syscall.EXDEV, syscall.EPERM, syscall.EMLINK, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// SyncTree puts all below dir on the disk, children before the directory that
// names them, then dir and the directory that names it: whatever was written,
// linked or changed in mode there before the call survives after it. Links and
// other kinds of files have nothing to sync but their names, and are not
// followed; dir itself may not be one.
func SyncTree(dir string) error {
	return theDisk.syncTree(dir)
}

func (d disk) syncTree(dir string) error {
	if err := d.syncBelow(dir); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(filepath.Clean(dir)))
}

func (d disk) syncBelow(dir string) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := d.syncEntry(filepath.Join(dir, e.Name()), e.Type()); err != nil {
			return err
		}
	}
	return d.sync(f)
}

func (d disk) syncEntry(path string, kind os.FileMode) error {
	switch {
	case kind.IsDir():
		return d.syncBelow(path)
	case kind.IsRegular():
		return d.syncFile(path)
	}
	return nil
}

// syncFile syncs bytes, mode and attributes; what else is at path by now is an
// error, and blocks nobody.
func (d disk) syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.sync(f)
}
