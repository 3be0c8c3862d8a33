package request

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"portward/internal/durable"
)

const (
	claimed  = ".claimed-"
	bad      = ".bad-"
	keepBads = 16
)

// Watch hands every request in dir to take, oldest first, until ctx ends, which
// is no error. It makes dir if it is missing, and again if it is replaced. It
// ends with an error when others than root and itself could enter or own dir,
// or when the kernel ends the watching; it can be called again then. A folder
// has one watcher at a time.
//
// What is not handed over is told to refused, with the ID under which somebody
// may wait for an answer, or "" if there is none, and is set aside: what is no
// request, is not a file of root's or ours with one name, or was interrupted.
// The newest of those are kept.
//
// Both functions are called by Watch's own goroutine and must not wait.
func Watch(ctx context.Context, dir string, take func(Request), refused func(id string, err error)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", dir, err)
	}
	defer w.Close()
	f := &folder{dir: filepath.Clean(dir), take: take, refused: refused}
	if err := f.run(ctx, w); err != nil {
		return fmt.Errorf("watching %s: %w", dir, err)
	}
	return nil
}

type folder struct {
	dir     string
	take    func(Request)
	refused func(string, error)
}

func (f *folder) run(ctx context.Context, w *fsnotify.Watcher) error {
	if err := f.open(w); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return fsnotify.ErrClosed
			}
			if err := f.onEvent(w, e); err != nil {
				return err
			}
		case _, ok := <-w.Errors: // an overflow: anything may have come
			if !ok {
				return fsnotify.ErrClosed
			}
			if err := f.scan(); err != nil {
				return err
			}
		}
	}
}

func (f *folder) onEvent(w *fsnotify.Watcher, e fsnotify.Event) error {
	switch {
	case filepath.Clean(e.Name) == f.dir && e.Has(fsnotify.Remove|fsnotify.Rename):
		w.Remove(f.dir) // of the inode that had the name
		return f.open(w)
	case e.Has(fsnotify.Create) && !isOurs(filepath.Base(e.Name)):
		return f.scan()
	}
	return nil
}

// isOurs tells the names that are no requests because they are steps of one.
func isOurs(name string) bool { return strings.HasPrefix(name, ".") }

// open begins with what lies there. The watch comes before the first look, so
// that nothing falls between them.
func (f *folder) open(w *fsnotify.Watcher) error {
	if err := durable.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	if err := checkFolder(f.dir); err != nil {
		return err
	}
	if err := w.Add(f.dir); err != nil {
		return err
	}
	durable.Sweep(f.dir) // litter that stays does no harm
	left, err := f.names(func(name string) bool { return strings.HasPrefix(name, claimed) })
	if err != nil {
		return err
	}
	for _, name := range left {
		f.refuse(name, strings.TrimPrefix(name, claimed), ErrInterrupted)
	}
	return f.scan()
}

// names answers those that are wanted, sorted.
func (f *folder) names(want func(string) bool) ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // gone again: its event will come
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if want(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (f *folder) scan() error {
	names, err := f.names(func(name string) bool { return !isOurs(name) })
	for _, name := range names {
		f.handle(name)
	}
	return err
}

// handle claims one file, hands it over and removes it. A removal that fails
// leaves a claim, which the next watcher tells of.
func (f *folder) handle(name string) {
	id, ok := strings.CutSuffix(name, suffix)
	if !ok || !isID(id) {
		f.refuse(name, "", fmt.Errorf("file name %.80q: %w", name, ErrMalformed))
		return
	}
	mine := claimed + id
	err := durable.Rename(filepath.Join(f.dir, name), filepath.Join(f.dir, mine))
	if errors.Is(err, fs.ErrNotExist) {
		return // withdrawn
	}
	if err != nil {
		f.refused(id, err)
		return
	}
	r, err := read(filepath.Join(f.dir, mine), id)
	if err != nil {
		f.refuse(mine, id, err)
		return
	}
	f.take(r)
	durable.Remove(filepath.Join(f.dir, mine))
}

// refuse sets a file aside and tells of it.
func (f *folder) refuse(name, id string, why error) {
	if !isID(id) {
		id = ""
	}
	aside := id
	if aside == "" {
		aside = newID(time.Now())
	}
	if err := durable.Rename(filepath.Join(f.dir, name), filepath.Join(f.dir, bad+aside)); err != nil {
		why = errors.Join(why, err)
	}
	f.forgetBads()
	f.refused(id, why)
}

// forgetBads keeps the newest. What cannot be removed with one call, somebody
// else's directory, stays.
func (f *folder) forgetBads() {
	names, err := f.names(func(name string) bool { return strings.HasPrefix(name, bad) })
	if err != nil {
		return
	}
	for _, name := range names[:max(0, len(names)-keepBads)] {
		durable.Remove(filepath.Join(f.dir, name))
	}
}
