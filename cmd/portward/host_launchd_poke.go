package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"portward/internal/durable"
	"portward/internal/fault"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/launchd"
)

// A faulter makes jobs fail.
type faulter interface {
	poke(t jobs.Target, f fault.Fault, always bool) error
	disarm(t jobs.Target)
}

// Pipes tell the jobs of launchd to fail, which hands on no descriptors: each has a
// FIFO that its file names. A life that ends without having read what was meant for
// it leaves nothing to the next one.
type pipes struct {
	dir string

	mu     sync.Mutex
	engine jobs.Engine // by the product's names
	fds    map[jobs.Target]int
	armed  map[jobs.Target]fault.Fault
	end    context.CancelFunc // of the watch, which begins with the first poke
	ended  chan struct{}
}

// pokable are the jobs that can be told to fail.
func pokable() []string { return []string{launchd.Supervisor, launchd.NetChild, launchd.GUIAgent} }

func (p *pipes) path(label string) string { return filepath.Join(p.dir, "poke-"+label) }

// open makes the FIFOs, and holds them: so a job that opens its own waits for nobody.
func (p *pipes) open(target func(label string) jobs.Target) error {
	p.close()
	if err := durable.MkdirAll(p.dir, 0o711); err != nil {
		return err
	}
	p.fds, p.armed = map[jobs.Target]int{}, map[jobs.Target]fault.Fault{}
	for _, label := range pokable() {
		path := p.path(label)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			return &os.PathError{Op: "mkfifo", Path: path, Err: err}
		}
		fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: path, Err: err}
		}
		p.fds[target(label)] = fd
	}
	return nil
}

// poke tells the present life of t to fail, and with always every later one, as soon
// as it is seen.
func (p *pipes) poke(t jobs.Target, f fault.Fault, always bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.fds[t]; !ok {
		return fmt.Errorf("there is no %s", t)
	}
	if err := p.watchLocked(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	st, err := p.engine.State(ctx, t)
	if err != nil && !(always && errors.Is(err, jobs.ErrNotLoaded)) {
		return err
	}
	if always {
		p.armed[t] = f
	}
	switch {
	case st.PID != 0:
		return p.tellLocked(t, f)
	case always:
		return nil
	}
	return fmt.Errorf("%s does not run\nhint: portward poke %s --start", t, nickname(t))
}

func (p *pipes) tellLocked(t jobs.Target, f fault.Fault) error {
	_, err := syscall.Write(p.fds[t], []byte{byte(f)})
	if err != nil {
		return fmt.Errorf("%s does not listen: %w", t, err)
	}
	return nil
}

// drainLocked takes back what nobody has read.
func (p *pipes) drainLocked(t jobs.Target) {
	b := make([]byte, 64)
	for fd, ok := p.fds[t]; ok; {
		if n, err := syscall.Read(fd, b); n <= 0 || err != nil {
			return
		}
	}
}

// disarm lets later lives of t live.
func (p *pipes) disarm(t jobs.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.armed, t)
	p.drainLocked(t)
}

// watchLocked hears of lives from now on.
func (p *pipes) watchLocked() error {
	if p.end != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	events, err := p.engine.Watch(ctx)
	if err != nil {
		cancel()
		return err
	}
	ended := make(chan struct{})
	p.end, p.ended = cancel, ended
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case ev, ok := <-events:
				if !ok { // it was too slow; whoever pokes next watches anew
					p.mu.Lock()
					defer p.mu.Unlock()
					if p.ended == ended {
						p.end, p.ended = nil, nil
					}
					cancel()
					return
				}
				p.hear(ev)
			}
		}
	}()
	return nil
}

func (p *pipes) hear(ev jobs.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f, armed := p.armed[ev.Target]; {
	case ev.Kind == jobs.Exited:
		p.drainLocked(ev.Target)
	case ev.Kind == jobs.Started && armed:
		p.tellLocked(ev.Target, f) // who does not listen is not to be helped
	}
}

func (p *pipes) close() {
	p.mu.Lock()
	end, ended := p.end, p.ended
	p.end = nil
	p.mu.Unlock()
	if end != nil {
		end()
		<-ended
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fd := range p.fds {
		syscall.Close(fd)
	}
	p.fds = nil
}

func (h *launchdHost) faults() faulter { return &h.pipes }

// pipeFor is what a job is told of its FIFO.
func (h *launchdHost) pipeFor(label string) string { return fault.Name + "=" + h.pipes.path(label) }

// openPipes makes the FIFOs under the root.
func (h *launchdHost) openPipes() error {
	h.pipes.dir = program.RunDir(h.w.o.root)
	return h.pipes.open(h.target)
}
