package jobs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// pathEvent is what became of a watched path.
type pathEvent struct {
	path    string
	exists  bool
	changed bool // false for the first look
}

// paths watches files by name. A watch of the kernel follows an inode, not a
// name (inotify(7)), so every existing ancestor of a path is watched, and
// whatever happens to one of them makes us look at all the paths again, by
// name, and compare the inode. A directory is watched itself, too: what is put
// into it is a change. Nothing runs before the first set.
type paths struct {
	events chan pathEvent
	log    func(string, ...any)
	orders chan map[string]bool
	stop   chan struct{}
	wg     sync.WaitGroup
	begun  bool // only set and close touch it, both on the loop's goroutine
}

func newPaths(log func(string, ...any)) *paths {
	return &paths{
		events: make(chan pathEvent), log: log,
		orders: make(chan map[string]bool), stop: make(chan struct{}),
	}
}

// set replaces the watched paths. Of each new one an event tells whether it
// exists.
func (p *paths) set(all map[string]bool) error {
	if !p.begun {
		if len(all) == 0 {
			return nil
		}
		w, err := fsnotify.NewWatcher()
		if err != nil {
			return err
		}
		p.begun = true
		p.wg.Go(func() { p.run(w) })
	}
	p.orders <- all
	return nil
}

func (p *paths) close() {
	close(p.stop)
	p.wg.Wait()
}

// gaze is what run owns.
type gaze struct {
	w     *fsnotify.Watcher
	paths map[string]fs.FileInfo // nil: does not exist
	dirs  map[string]fs.FileInfo // watched
	queue []pathEvent
	log   func(string, ...any)
}

func (p *paths) run(w *fsnotify.Watcher) {
	g := &gaze{w: w, paths: map[string]fs.FileInfo{}, dirs: map[string]fs.FileInfo{}, log: p.log}
	defer w.Close()
	for {
		var out chan<- pathEvent
		var head pathEvent
		if len(g.queue) > 0 {
			out, head = p.events, g.queue[0]
		}
		select {
		case all := <-p.orders:
			g.set(all)
		case e := <-w.Events:
			g.onEvent(e)
		case <-w.Errors: // events were lost
			g.look("")
		case out <- head:
			g.queue = g.queue[1:]
		case <-p.stop:
			return
		}
	}
}

func (g *gaze) set(all map[string]bool) {
	for path := range g.paths {
		if !all[path] {
			delete(g.paths, path)
		}
	}
	fresh := []string{}
	for path := range all {
		if _, known := g.paths[path]; !known {
			g.paths[path] = nil
			fresh = append(fresh, path)
		}
	}
	g.watch()
	for _, path := range fresh {
		g.paths[path] = stat(path)
		g.queue = append(g.queue, pathEvent{path, g.paths[path] != nil, false})
	}
}

// onEvent looks again if the event can concern a path of ours.
func (g *gaze) onEvent(e fsnotify.Event) {
	_, dir := g.dirs[e.Name]
	if dir && e.Has(fsnotify.Remove|fsnotify.Rename) {
		g.w.Remove(e.Name) // gone with the inode, whose number may come again
		delete(g.dirs, e.Name)
	}
	_, path := g.paths[e.Name]
	_, inside := g.paths[filepath.Dir(e.Name)]
	if !dir && !path && !inside && !g.ancestor(e.Name) {
		return
	}
	touched := ""
	if path {
		touched = e.Name
	} else if inside {
		touched = filepath.Dir(e.Name)
	}
	g.look(touched)
}

func (g *gaze) ancestor(name string) bool {
	for path := range g.paths {
		for up := filepath.Dir(path); up != filepath.Dir(up); up = filepath.Dir(up) {
			if up == name {
				return true
			}
		}
	}
	return false
}

// look reports every path that is not what it was, and touched anyway.
func (g *gaze) look(touched string) {
	g.watch()
	for path, was := range g.paths {
		is := stat(path)
		if path == touched || !same(was, is) {
			g.queue = append(g.queue, pathEvent{path, is != nil, true})
		}
		g.paths[path] = is
	}
}

// watch has every existing ancestor of a path watched, under the inode that
// its name has now. What appears between a look and its watch is found by
// looking until nothing is new.
func (g *gaze) watch() {
	for again := true; again; {
		again = false
		want := g.wanted()
		for dir, was := range g.dirs {
			if is := want[dir]; is == nil || !os.SameFile(was, is) {
				g.w.Remove(dir)
				delete(g.dirs, dir)
			}
		}
		for dir, is := range want {
			if g.dirs[dir] == nil {
				g.add(dir)
				g.dirs[dir] = is
				again = true
			}
		}
	}
}

func (g *gaze) add(dir string) {
	err := g.w.Add(dir)
	if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) && g.log != nil {
		g.log("watching %s: %v", dir, err)
	}
}

func (g *gaze) wanted() map[string]fs.FileInfo {
	want := map[string]fs.FileInfo{}
	for path := range g.paths {
		for up := filepath.Clean(path); ; up = filepath.Dir(up) {
			if info := stat(up); info != nil && info.IsDir() {
				want[up] = info
			}
			if up == filepath.Dir(up) {
				break
			}
		}
	}
	return want
}

// stat answers nil for what does not exist or cannot be reached.
func stat(path string) fs.FileInfo {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
