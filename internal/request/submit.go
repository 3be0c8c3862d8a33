package request

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"portward/internal/durable"
)

const suffix = ".json"

// Submit lays r before whoever watches dir, and answers the ID that it gave it.
// The request is on the disk then, whether somebody watches or not. Later
// requests are taken later.
func Submit(dir string, r Request) (id string, err error) {
	r.ID = newID(time.Now())
	if err := r.check(); err != nil {
		return "", err
	}
	data, err := r.encode()
	if err != nil {
		return "", fmt.Errorf("submitting: %w", err)
	}
	if err := write(filepath.Join(dir, r.ID+suffix), data); err != nil {
		return "", fmt.Errorf("submitting: %w", err)
	}
	return r.ID, nil
}

// write tries again when the unfinished file went away: a watcher that begins
// sweeps those of killed writers and cannot tell ours.
func write(path string, data []byte) (err error) {
	for range 3 {
		if err = durable.Write(path, data, 0o600); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return err
}

// Withdraw takes a request back. Afterwards it will not be handed over. When it
// is not there any more, because it was claimed, the error is fs.ErrNotExist.
func Withdraw(dir, id string) error {
	if !isID(id) {
		return fmt.Errorf("withdrawing %q: %w", id, ErrMalformed)
	}
	if err := durable.Remove(filepath.Join(dir, id+suffix)); err != nil {
		return fmt.Errorf("withdrawing %s: %w", id, err)
	}
	return nil
}
