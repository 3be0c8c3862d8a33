package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// marker is the file that says a directory is a root of ours: only what
// carries it is ever cleaned.
const marker = ".portward"

// kept survives from one `up` to the next: the viewer's certificate and token.
const kept = "state"

// defaultRoot answers where `up` runs when it is not told.
func defaultRoot() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/portward-up", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w\nhint: say where with --root DIR", err)
	}
	return filepath.Join(dir, "portward"), nil
}

// resolveRoot answers the absolute root: the flag's or the default.
func resolveRoot(flag string) (string, error) {
	if flag == "" {
		return defaultRoot()
	}
	return filepath.Abs(flag)
}

// A rootLock is the right to run on a root, held until the process ends.
type rootLock struct {
	dir string
	f   *os.File
}

// errBusy is in the error for a root on which another `up` runs.
var errBusy = errors.New("another `portward up`")

// takeRoot makes dir a root, locks it, and removes what an earlier `up` left, but
// for what that one tells: forget does, once this one runs.
func takeRoot(dir string) (*rootLock, error) {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return nil, err
	}
	if err := mayOwn(dir); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, mode); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, marker), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		b := make([]byte, 16)
		n, _ := f.Read(b)
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (pid %s) runs on %s\nhint: stop it, or use another directory with --root DIR", errBusy, strings.TrimSpace(string(b[:n])), dir)
		}
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	l := &rootLock{dir, f}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n"), l.clean()); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// mayOwn refuses a directory that holds something and is no root of ours, that
// belongs to somebody else, or that the product's users could not reach.
func mayOwn(dir string) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s is no directory of its own\nhint: use another one with --root DIR", dir)
	}
	if st := fi.Sys().(*syscall.Stat_t); int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to uid %d, not to you (uid %d)\nhint: use another directory with --root DIR", dir, st.Uid, os.Geteuid())
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, marker)); len(entries) > 0 && err != nil {
		return fmt.Errorf("%s holds files and was not made by `portward up`\nhint: use an empty or a new directory", dir)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	for p := filepath.Dir(dir); ; p = filepath.Dir(p) {
		if fi, err := os.Stat(p); err != nil {
			return err
		} else if others := fi.Mode()&0o022 != 0 && fi.Mode()&fs.ModeSticky == 0; others || ownerOf(fi) != 0 {
			return fmt.Errorf("%s can be changed by others than root, who would run what they put there\nhint: use a directory below /var/lib or /tmp", p)
		} else if fi.Mode()&0o001 == 0 {
			return fmt.Errorf("%s cannot be entered by other users, and as root netchild and the agents are other users\nhint: use a directory below /var/lib or /tmp", p)
		}
		if p == "/" || p == "." {
			return nil
		}
	}
}

// told is what explain tells of a run, in directories below the root.
func told() []string { return []string{"evidence", "seen", "log"} }

// forget removes what an earlier `up` tells.
func (l *rootLock) forget() error {
	var errs []error
	for _, name := range told() {
		errs = append(errs, l.remove(name))
	}
	return errors.Join(errs...)
}

// clean removes everything in the root but what is kept and what is told.
func (l *rootLock) clean() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Name() != marker && e.Name() != kept && !slices.Contains(told(), e.Name()) {
			errs = append(errs, l.remove(e.Name()))
		}
	}
	return errors.Join(errs...)
}

// trash begins the names of what could not be removed: a job may have made a
// tree that is deeper than can be walked. It is tried again each time.
const trash = ".trash-"

// remove removes what is below name in the root, or sets it aside.
func (l *rootLock) remove(name string) error {
	path := filepath.Join(l.dir, name)
	if os.RemoveAll(path) == nil || strings.HasPrefix(name, trash) {
		return nil
	}
	return os.Rename(path, filepath.Join(l.dir, trash+strconv.FormatInt(time.Now().UnixNano(), 36)))
}

// leave removes what only a running `up` needs. Evidence and logs stay, so that
// explain has something to say.
func (l *rootLock) leave() error {
	var errs []error
	for _, name := range []string{"run", "status", "private", "build"} {
		errs = append(errs, l.remove(name))
	}
	return errors.Join(append(errs, l.f.Close())...)
}
