package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"portward/internal/program"
	"portward/internal/viewer"
)

// maxKept bounds one kept file, in bytes.
const maxKept = 64 << 10

// renewState makes netchild's own directory anew for the account uid, with the
// viewer's identity that an earlier netchild left there. The old directory
// belonged to a process that is not trusted: nothing in it is given away or
// written, its two files are read as plain files and written to new inodes.
func renewState(root string, uid uint32) error {
	dir := program.StateDir(root)
	identity := map[string][]byte{}
	for _, path := range viewer.IdentityFiles(dir) {
		b, err := readKept(path)
		if err == nil {
			identity[filepath.Base(path)] = b
		}
	}
	if err := (&rootLock{dir: root}).remove(kept); err != nil {
		return err
	}
	if err := errors.Join(makeDir(filepath.Dir(dir), 0o711, uint32(os.Geteuid())), makeDir(dir, 0o700, uint32(os.Geteuid()))); err != nil {
		return err
	}
	for name, b := range identity {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
		if err := give(path, uid); err != nil {
			return err
		}
	}
	return give(dir, uid)
}

// readKept reads a plain file that has no other name.
func readKept(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st := fi.Sys().(*syscall.Stat_t); !fi.Mode().IsRegular() || st.Nlink != 1 || fi.Size() > maxKept {
		return nil, fmt.Errorf("%s is no plain file of ours", path)
	}
	return io.ReadAll(io.LimitReader(f, maxKept))
}

// makeDir makes a directory of the given mode for the account uid.
func makeDir(path string, mode fs.FileMode, uid uint32) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return give(path, uid)
}

// give hands path, and nothing below it, to the account uid, where that can
// differ from the caller's.
func give(path string, uid uint32) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, int(uid), int(uid))
}
