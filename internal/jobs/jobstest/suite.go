package jobstest

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"portward/internal/jobs"
)

// Test checks the contract of jobs.Engine. Each case opens an engine of its
// own. The program that calls it calls Child in its TestMain.
func Test(t *testing.T, open func(*testing.T) Harness) {
	for _, c := range cases() {
		t.Run(c.rule, func(t *testing.T) { c.run(newBench(t, open)) })
	}
}

type rule struct {
	rule string
	run  func(*bench)
}

func cases() []rule {
	return append(append(demandCases(), lifeCases()...), worldCases()...)
}

func service(name string) keys { return keys{"MachServices": map[string]bool{name: true}} }

func demandCases() []rule {
	return []rule{
		{"a job with a service is started by its first connection and not before", func(b *bench) {
			t := b.load("test.demand", "serve", service("test.demand"))
			if s := b.status(t, jobs.Waiting); s.Life != 0 || s.PID != 0 {
				b.Fatalf("before any connection: %+v", s)
			}
			c := b.dial("test.demand")
			if n := b.life(c); n != 1 {
				b.Fatalf("life %d answers, want 1", n)
			}
			if e := b.next(t, jobs.Started); e.Life != 1 || e.PID != b.status(t, jobs.Running).PID {
				b.Fatalf("started: %+v", e)
			}
		}},
		{"a connection queued when the job exits starts it again at once", func(b *bench) {
			t := b.load("test.queue", "serve", service("test.queue"))
			first := b.dial("test.queue")
			b.next(t, jobs.Started)
			second := b.dial("test.queue")
			say(first, "exit 3")
			if n := b.life(second); n != 2 {
				b.Fatalf("life %d answers, want 2", n)
			}
			if s := b.state(t); s.Restarts != 1 || s.Last == nil || s.Last.Code != 3 {
				b.Fatalf("after exit 3: %+v", s)
			}
		}},
		{"a job that exits 0 with nothing queued waits, and that is no restart", func(b *bench) {
			t := b.load("test.idle", "serve", service("test.idle"))
			say(b.dial("test.idle"), "exit 0")
			b.next(t, jobs.Exited)
			b.status(t, jobs.Waiting)
			if n := b.life(b.dial("test.idle")); n != 2 {
				b.Fatalf("life %d answers, want 2", n)
			}
			if s := b.state(t); s.Restarts != 0 {
				b.Fatalf("restarts: %+v", s)
			}
		}},
		{"a crash without KeepAlive is followed by a start on demand only", func(b *bench) {
			t := b.load("test.crash", "serve", service("test.crash"))
			say(b.dial("test.crash"), "signal %d", syscall.SIGKILL)
			if e := b.next(t, jobs.Exited); e.Exit.Signal != int(syscall.SIGKILL) {
				b.Fatalf("exit: %+v", e)
			}
			b.status(t, jobs.Waiting)
			if n := b.life(b.dial("test.crash")); n != 2 {
				b.Fatalf("life %d answers, want 2", n)
			}
		}},
		{"a held job leaves its connections queued and is started when that is over", func(b *bench) {
			t := b.load("test.hold", "serve", service("test.hold"))
			b.ok(b.Engine.Hold(b.ctx, t, time.Now().Add(time.Hour)))
			c := b.dial("test.hold")
			if s := b.status(t, jobs.Held); s.HeldUntil.Before(time.Now()) {
				b.Fatalf("held: %+v", s)
			}
			b.fails(b.Engine.Kickstart(b.ctx, t, true), jobs.ErrHeld)
			b.never(t, jobs.Started)
			b.ok(b.Engine.Hold(b.ctx, t, time.Time{}))
			if n := b.life(c); n != 1 {
				b.Fatalf("life %d answers, want 1", n)
			}
		}},
		{"a hold ends by itself, and lets a running job run", func(b *bench) {
			t := b.load("test.holding", "serve", service("test.holding"))
			c := b.dial("test.holding")
			b.next(t, jobs.Started)
			b.ok(b.Engine.Hold(b.ctx, t, time.Now().Add(time.Second)))
			b.status(t, jobs.Running)
			second := b.dial("test.holding")
			say(c, "exit 1")
			if n := b.life(second); n != 2 {
				b.Fatalf("life %d answers, want 2", n)
			}
		}},
		{"a socket is held above the job and starts it", func(b *bench) {
			t := b.load("test.socket", "serve", keys{"Sockets": map[string]any{
				"viewer": map[string]any{"SockNodeName": "127.0.0.1", "SockServiceName": "0", "SockType": "stream", "SockFamily": "IPv4"}}})
			addr, err := b.Addr(b.ctx, t, "viewer")
			b.ok(err)
			for life := range uint64(2) {
				c, err := net.Dial("tcp", addr)
				b.ok(err)
				b.Cleanup(func() { c.Close() })
				if n := b.life(c); n != life+1 {
					b.Fatalf("life %d answers, want %d", n, life+1)
				}
				b.next(t, jobs.Started)
				again, err := net.Dial("tcp", addr)
				b.ok(err)
				say(again, "exit 0")
				b.next(t, jobs.Exited)
				again.Close()
			}
		}},
		{"an occupied port is an error that names file and key", func(b *bench) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			b.ok(err)
			defer l.Close()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			path := b.write("test.busy", "serve", keys{"Sockets": map[string]any{
				"viewer": map[string]any{"SockNodeName": "127.0.0.1", "SockServiceName": port}}})
			b.names(b.Engine.Bootstrap(b.ctx, jobs.System, path), path, "Sockets.viewer")
			_, err = b.Engine.State(b.ctx, "system/test.busy")
			b.fails(err, jobs.ErrNotLoaded)
		}},
	}
}

// fails wants an error of a kind.
func (b *bench) fails(err, kind error) {
	b.Helper()
	if err == nil || !errors.Is(err, kind) {
		b.Fatalf("error %v, want %v", err, kind)
	}
}

// names wants an error whose text has all the words.
func (b *bench) names(err error, words ...string) {
	b.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			b.Fatalf("error %v does not name %s", err, w)
		}
	}
}

// executable answers a path at which the child appears when appear is called.
func (b *bench) executable() (path string, appear func()) {
	exe, err := os.Executable()
	b.ok(err)
	path = b.dir + "/late"
	return path, func() { b.ok(os.Symlink(exe, path)) }
}
