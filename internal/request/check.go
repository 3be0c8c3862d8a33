package request

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// read takes the file only as what Submit makes it. It is opened once, neither
// following a link nor waiting for a pipe, and asked about itself.
func read(path, id string) (Request, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Request{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Request{}, err
	}
	if err := checkFile(info); err != nil {
		return Request{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return Request{}, err
	}
	return Parse(id, data)
}

func checkFile(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("not a regular file but %v: %w", info.Mode(), ErrMalformed)
	}
	owner, links := facts(info)
	switch {
	case !isTrusted(owner):
		return fmt.Errorf("owned by uid %d: %w", owner, ErrMalformed)
	case links != 1:
		return fmt.Errorf("a file with %d names: %w", links, ErrMalformed)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write it, mode %v: %w", info.Mode(), ErrMalformed)
	}
	return nil
}

func checkFolder(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, _ := facts(info)
	switch {
	case !info.IsDir():
		return syscall.ENOTDIR
	case !isTrusted(owner):
		return fmt.Errorf("owned by uid %d", owner)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("mode %v lets others in", info.Mode())
	}
	return nil
}

func facts(info fs.FileInfo) (owner, links uint64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1<<64 - 1, 0
	}
	return uint64(st.Uid), uint64(st.Nlink)
}

func isTrusted(owner uint64) bool {
	return slices.Contains([]uint64{0, uint64(os.Geteuid())}, owner)
}
