package durable

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// tempPrefix starts the name of every file that is not yet what it will be.
const tempPrefix = ".tmp-"

// Write makes path a file with these bytes and this mode (permission bits,
// whatever the umask) in one step. What path was before stays until the step
// and is replaced, not written: a reader that has it open keeps it, a symbolic
// link at path is itself replaced. After an error nothing new lies in the
// directory; unless the error came from the last fsync, path is what it was.
func Write(path string, data []byte, mode os.FileMode) error {
	return theDisk.write(path, bytes.NewReader(data), mode)
}

// WriteFrom is Write with the bytes of r, read to its end.
func WriteFrom(path string, r io.Reader, mode os.FileMode) error {
	return theDisk.write(path, r, mode)
}

// Append adds data to the end of path, creating the file with this mode, and
// returns when it is on the disk. It is not one step: a power cut may leave a
// part of data, so the reader must recognise a torn end.
func Append(path string, data []byte, mode os.FileMode) error {
	return theDisk.append(path, data, mode)
}

// Sweep removes what killed writers left in dir. Only the one owner of a
// directory may call it, and not while it writes there.
func Sweep(dir string) error {
	return theDisk.sweep(dir)
}

// A disk is what this package asks of the kernel and cannot see the effect of.
type disk struct {
	sync func(*os.File) error
}

var theDisk = disk{sync: (*os.File).Sync}

func (d disk) write(path string, r io.Reader, mode os.FileMode) error {
	temp, err := d.writeTemp(filepath.Dir(path), r, mode)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := d.syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// writeTemp answers the name of a finished, synced file in dir; after an error
// there is no such file.
func (d disk) writeTemp(dir string, r io.Reader, mode os.FileMode) (string, error) {
	temp := filepath.Join(dir, tempPrefix+rand.Text())
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	if err := d.fill(f, r, mode); err != nil {
		f.Close()
		os.Remove(temp)
		return "", err
	}
	if err := f.Close(); err != nil {
		os.Remove(temp)
		return "", err
	}
	return temp, nil
}

func (d disk) fill(f *os.File, r io.Reader, mode os.FileMode) error {
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	if err := f.Chmod(mode.Perm()); err != nil {
		return err
	}
	return d.sync(f)
}

func (d disk) append(path string, data []byte, mode os.FileMode) error {
	_, err := os.Lstat(path)
	isNew := os.IsNotExist(err)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, mode.Perm())
	if err != nil {
		return err
	}
	defer f.Close()
	if isNew {
		if err := f.Chmod(mode.Perm()); err != nil {
			return fmt.Errorf("appending to %s: %w", path, err)
		}
	}
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("appending to %s: %w", path, err)
	}
	if err := d.sync(f); err != nil {
		return fmt.Errorf("appending to %s: %w", path, err)
	}
	if isNew {
		return d.syncDir(filepath.Dir(path))
	}
	return nil
}
