package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// ErrLocked is what TryLock answers when somebody else holds the lock.
var ErrLocked = errors.New("locked by somebody else")

// A FileLock is held until Close or the end of the process, by whatever
// signal: nothing is left behind that a later holder would have to judge.
type FileLock struct{ f *os.File }

// Lock takes the exclusive lock whose file is path, and waits for it as long
// as it takes. The file is made with mode 0600 if it is missing, and stays. It
// is flock(2): a second Lock waits in the same process too, a child does not
// inherit it, and who never asks is not kept out.
func Lock(path string) (*FileLock, error) { return lock(path, syscall.LOCK_EX) }

// TryLock is Lock that does not wait: ErrLocked.
func TryLock(path string) (*FileLock, error) {
	return lock(path, syscall.LOCK_EX|syscall.LOCK_NB)
}

// Close gives the lock back. A second Close is an error.
func (l *FileLock) Close() error { return l.f.Close() }

// lock begins again when the file that it locked is not at path any more:
// whoever comes later would lock another one.
func lock(path string, how int) (*FileLock, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flock(f, how); err != nil {
			f.Close()
			return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
		}
		if isAt(f, path) {
			return &FileLock{f}, nil
		}
		f.Close()
	}
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, syscall.EINTR): // the runtime's own signals
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		default:
			return err
		}
	}
}

func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, there)
}
