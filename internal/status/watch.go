package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// relook is how often Watch looks for a directory that went away.
const relook = time.Second

// Watch answers a channel that holds the newest status of the file at path: the
// present one first, if there is one, then each that replaces it. A receiver
// that is late finds the newest and never learns of those in between. A file
// that is missing or cannot be read is no news: the receiver keeps what it had.
// The channel is closed when ctx ends, or when the kernel ends the watching.
//
// The directory must exist. It is the directory that is watched, and the file
// is opened by its path each time, for a watch on a replaced file follows the
// old inode. When the directory itself is removed or renamed, Watch turns to the
// one in its place, for which it looks every second. A directory further up that is replaced is not
// noticed.
func Watch(ctx context.Context, path string) (<-chan Status, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", path, err)
	}
	v := &viewer{path: path, dir: filepath.Dir(path), watcher: w}
	if err := w.Add(v.dir); err != nil {
		return nil, errors.Join(fmt.Errorf("watching %s: %w", path, err), w.Close())
	}
	out := make(chan Status)
	go v.run(ctx, out)
	return out, nil
}

// A viewer is owned by its run.
type viewer struct {
	path, dir string
	watcher   *fsnotify.Watcher
	seen      []byte // the last file that was news
	news      Status
	isNews    bool // news has not been received yet
}

func (v *viewer) run(ctx context.Context, out chan<- Status) {
	defer close(out)
	defer v.watcher.Close()
	var lost <-chan time.Time // nil while the directory is watched
	v.look()
	for {
		var offer chan<- Status // nil while there is nothing new
		if v.isNews {
			offer = out
		}
		select {
		case <-ctx.Done():
			return
		case offer <- v.news:
			v.isNews = false
		case event, ok := <-v.watcher.Events:
			if !ok {
				return
			}
			if v.isDirGone(event) {
				lost = v.rewatch()
			}
			if filepath.Base(event.Name) == filepath.Base(v.path) {
				v.look()
			}
		case _, ok := <-v.watcher.Errors: // an overflow: anything may have happened
			if !ok {
				return
			}
			v.look()
		case <-lost:
			lost = v.rewatch()
		}
	}
}

func (v *viewer) isDirGone(event fsnotify.Event) bool {
	return (event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)) &&
		filepath.Clean(event.Name) == filepath.Clean(v.dir)
}

// rewatch answers when to try again: nil, never, once the directory is watched.
func (v *viewer) rewatch() <-chan time.Time {
	if err := v.watcher.Add(v.dir); err != nil {
		return time.After(relook)
	}
	v.look()
	return nil
}

func (v *viewer) look() {
	data, err := readFile(v.path)
	if err != nil || bytes.Equal(data, v.seen) {
		return
	}
	s, err := parse(data)
	if err != nil {
		return
	}
	v.seen, v.news, v.isNews = data, s, true
}
