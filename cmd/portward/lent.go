package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"portward/internal/counters"
	"portward/internal/fault"
	"portward/internal/jobs"
	"portward/internal/program"
)

// lent keeps this side of the descriptors that jobs inherit: faults for every
// job, counters for agents, the engine for the supervisor and
// the rescue job.
type lent struct {
	mu      sync.Mutex
	faults  map[jobs.Target]*os.File    // writing ends, of the present lives
	armed   map[jobs.Target]fault.Fault // sent to every new life
	pages   map[string]*counters.Page   // by session
	serving sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

func newLent() *lent {
	ctx, cancel := context.WithCancel(context.Background())
	return &lent{
		faults: map[jobs.Target]*os.File{}, armed: map[jobs.Target]fault.Fault{},
		pages: map[string]*counters.Page{}, ctx: ctx, cancel: cancel,
	}
}

// counters makes a session's page; it outlives the agent's lives.
func (l *lent) counters(session string) error {
	p, err := counters.New()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pages[session] = p
	return nil
}

// descriptors answers what a new life of t inherits.
func (l *lent) descriptors(t jobs.Target, e jobs.Engine) ([]jobs.NamedFile, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if old := l.faults[t]; old != nil {
		old.Close()
	}
	l.faults[t] = w
	if f, ok := l.armed[t]; ok {
		f.Send(w)
	}
	files := []jobs.NamedFile{{Name: fault.Name, File: r}}
	if p := l.pages[t.Session()]; p != nil {
		f, err := program.Dup(p.File())
		if err != nil {
			r.Close()
			return nil, err
		}
		files = append(files, jobs.NamedFile{Name: counters.Name, File: f})
	}
	if t == supervisorTarget || t == rescueTarget {
		f, err := l.serve(e)
		if err != nil {
			closeFiles(files)
			return nil, err
		}
		files = append(files, jobs.NamedFile{Name: program.EngineName, File: f})
	}
	return files, nil
}

func closeFiles(files []jobs.NamedFile) {
	for _, f := range files {
		f.File.Close()
	}
}

// serve answers one end of a new connection to the engine. The other end is
// served on a goroutine of its own: the engine cannot be called from here.
func (l *lent) serve(e jobs.Engine) (*os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|cloexec, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), program.EngineName), os.NewFile(uintptr(fds[1]), program.EngineName)
	l.serving.Go(func() { program.ServeEngine(l.ctx, ours, e) })
	return theirs, nil
}

// poke tells the present life of t to fail, and with always every later one.
func (l *lent) poke(t jobs.Target, f fault.Fault, always bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if always {
		l.armed[t] = f
	}
	w := l.faults[t]
	if w == nil {
		return fmt.Errorf("%s was never started", t)
	}
	w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // a full pipe belongs to who does not listen
	if err := f.Send(w); err != nil && !(always && errors.Is(err, syscall.EPIPE)) {
		return fmt.Errorf("%s does not listen: %w", t, err)
	}
	return nil
}

// disarm lets later lives of t live.
func (l *lent) disarm(t jobs.Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.armed, t)
}

func (l *lent) read(session string) (counters.Reading, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pages[session]
	if p == nil {
		return counters.Reading{}, false
	}
	return p.Read(), true
}

// broken notes that the session's agent ended. It could not do so itself, and
// until its next life nobody else writes the page.
func (l *lent) broken(session string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pages[session]; p != nil {
		p.Broken()
	}
}

func (l *lent) close() {
	l.cancel()
	l.serving.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.faults {
		w.Close()
	}
	for _, p := range l.pages {
		p.Close()
	}
	clear(l.pages)
}
