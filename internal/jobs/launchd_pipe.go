package jobs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// PipeVariable is NAME=PATH in the environment of a job whose engine passes no
// descriptors, as launchd's: the FIFO at PATH is one that Inherited answers by NAME.
// Whoever writes a job's file decides about its environment, too.
const PipeVariable = "PORTWARD_PIPE"

// inheritPipe opens the FIFO that the environment names, into files. The variable is
// removed: no child shall take it for its own.
func inheritPipe(files map[string]*os.File) (map[string]*os.File, error) {
	value, ok := os.LookupEnv(PipeVariable)
	if !ok {
		return files, nil
	}
	os.Unsetenv(PipeVariable)
	name, path, _ := strings.Cut(value, "=")
	if name == "" || !filepath.IsAbs(path) || files[name] != nil {
		return files, fmt.Errorf("%q, want NAME=PATH, with a new name: %w", value, ErrMalformed)
	}
	f, err := openPipe(path)
	if err != nil {
		return files, err
	}
	if files == nil {
		files = map[string]*os.File{}
	}
	files[name] = f
	return files, nil
}

// openPipe opens a FIFO of the process's own user for both directions: so it waits
// for nobody, and there is no end of file when the other side goes.
func openPipe(path string) (*os.File, error) {
	if fi, err := os.Lstat(path); err != nil {
		return nil, err
	} else if err := ownPipe(fi); err != nil { // to open something else may have an effect
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil {
		err = ownPipe(fi)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func ownPipe(fi os.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case fi.Mode().Type() != os.ModeNamedPipe:
		return errors.New("no pipe")
	case !ok || int(st.Uid) != os.Geteuid() || fi.Mode().Perm()&0o077 != 0:
		return errors.New("not this user's alone")
	}
	return nil
}
