package jobstest

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portward/internal/jobs"
)

// Test checks the contract of jobs.Engine. Each case opens an engine of its
// own. The program that calls it calls Child in its TestMain. Rules that need
// what the engine lacks are not run; they are named, with the reason.
func Test(t *testing.T, open func(*testing.T) Harness, lacks ...Lack) {
	for _, g := range groups() {
		why := lacking(lacks, g.needs)
		for _, c := range g.rules {
			if why != "" {
				t.Logf("left out: %s: %s", c.rule, why)
				continue
			}
			t.Run(c.rule, func(t *testing.T) {
				b := newBench(t, open)
				b.lacks = lacks
				c.run(b)
			})
		}
	}
}

type rule struct {
	rule string
	run  func(*bench)
}

// A group is rules that need the same.
type group struct {
	needs Ability
	rules []rule
}

func groups() []group {
	return []group{
		{Demand, demandCases()}, {"", lifeCases()}, {Lives, countedCases()}, {Continues, stoppedCases()},
		{Logins, sessionCases()}, {"", worldCases()}, {Files, fileCases()},
	}
}

// lacking answers why an ability is not there, "" if it is.
func lacking(lacks []Lack, a Ability) string {
	for _, l := range lacks {
		if l.Ability == a {
			return l.Reason
		}
	}
	return ""
}

func service(name string) keys { return keys{"MachServices": map[string]bool{name: true}} }

func demandCases() []rule {
	return []rule{
		{"a job with a service is started by its first connection and not before", func(b *bench) {
			t := b.load("dev.portward.test.demand", "serve", service("dev.portward.test.demand"))
			if s := b.status(t, jobs.Waiting); s.Life != 0 || s.PID != 0 {
				b.Fatalf("before any connection: %+v", s)
			}
			c := b.dial("dev.portward.test.demand")
			if n := b.life(c); n != 1 {
				b.Fatalf("life %d answers, want 1", n)
			}
			if e := b.next(t, jobs.Started); e.Life != 1 || e.PID != b.status(t, jobs.Running).PID {
				b.Fatalf("started: %+v", e)
			}
		}},
		{"a connection queued when the job exits starts it again at once", func(b *bench) {
			t := b.load("dev.portward.test.queue", "serve", service("dev.portward.test.queue"))
			first := b.dial("dev.portward.test.queue")
			b.next(t, jobs.Started)
			second := b.dial("dev.portward.test.queue")
			say(first, "exit 3")
			if n := b.life(second); n != 2 {
				b.Fatalf("life %d answers, want 2", n)
			}
			if s := b.state(t); s.Restarts != 1 || s.Last == nil || s.Last.Code != 3 {
				b.Fatalf("after exit 3: %+v", s)
			}
		}},
		{"a job that exits 0 with nothing queued waits, and that is no restart", func(b *bench) {
			t := b.load("dev.portward.test.idle", "serve", service("dev.portward.test.idle"))
			say(b.dial("dev.portward.test.idle"), "exit 0")
			b.next(t, jobs.Exited)
			b.status(t, jobs.Waiting)
			if n := b.life(b.dial("dev.portward.test.idle")); n != 2 {
				b.Fatalf("life %d answers, want 2", n)
			}
			if s := b.state(t); s.Restarts != 0 {
				b.Fatalf("restarts: %+v", s)
			}
		}},
		{"a crash without KeepAlive is followed by a start on demand only", func(b *bench) {
			t := b.load("dev.portward.test.crash", "serve", service("dev.portward.test.crash"))
			say(b.dial("dev.portward.test.crash"), "signal %d", syscall.SIGKILL)
			if e := b.next(t, jobs.Exited); e.Exit.Signal != int(syscall.SIGKILL) {
				b.Fatalf("exit: %+v", e)
			}
			b.status(t, jobs.Waiting)
			if n := b.life(b.dial("dev.portward.test.crash")); n != 2 {
				b.Fatalf("life %d answers, want 2", n)
			}
		}},
		{"a held job leaves its connections queued and is started when that is over", func(b *bench) {
			t := b.load("dev.portward.test.hold", "serve", service("dev.portward.test.hold"))
			b.ok(b.Engine.Hold(b.ctx, t, time.Now().Add(time.Hour)))
			c := b.dial("dev.portward.test.hold")
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
			t := b.load("dev.portward.test.holding", "serve", service("dev.portward.test.holding"))
			c := b.dial("dev.portward.test.holding")
			b.next(t, jobs.Started)
			b.ok(b.Engine.Hold(b.ctx, t, time.Now().Add(time.Second)))
			b.status(t, jobs.Running)
			second := b.dial("dev.portward.test.holding")
			say(c, "exit 1")
			if n := b.life(second); n != 2 {
				b.Fatalf("life %d answers, want 2", n)
			}
		}},
		{"a socket is held above the job and starts it", func(b *bench) {
			t := b.load("dev.portward.test.socket", "serve", keys{"Sockets": map[string]any{
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
			path := b.write("dev.portward.test.busy", "serve", keys{"Sockets": map[string]any{
				"viewer": map[string]any{"SockNodeName": "127.0.0.1", "SockServiceName": port}}})
			b.names(b.Engine.Bootstrap(b.ctx, jobs.System, path), path, "Sockets.viewer")
			_, err = b.Engine.State(b.ctx, "system/dev.portward.test.busy")
			b.fails(err, jobs.ErrNotLoaded)
		}},
		{"SuccessfulExit false starts again after a failure and not after success", func(b *bench) {
			more := service("dev.portward.test.success")
			more["KeepAlive"] = map[string]bool{"SuccessfulExit": false}
			t := b.load("dev.portward.test.success", "serve", more)
			b.next(t, jobs.Started)
			say(b.dial("dev.portward.test.success"), "exit 4")
			b.next(t, jobs.Exited)
			b.next(t, jobs.Started)
			say(b.dial("dev.portward.test.success"), "exit 0")
			b.next(t, jobs.Exited)
			b.status(t, jobs.Waiting)
		}},
		{"Crashed true starts again after a crash signal and not after SIGKILL", func(b *bench) {
			more := service("dev.portward.test.crashed")
			more["KeepAlive"] = map[string]bool{"Crashed": true}
			t := b.load("dev.portward.test.crashed", "serve", more)
			b.ok(syscall.Kill(b.next(t, jobs.Started).PID, syscall.SIGKILL))
			b.next(t, jobs.Exited)
			b.status(t, jobs.Waiting)
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			b.next(t, jobs.Started)
			say(b.dial("dev.portward.test.crashed"), "signal %d", syscall.SIGSEGV)
			b.next(t, jobs.Exited)
			b.next(t, jobs.Started)
		}},
		{"a failed start on demand is retried while the connection is queued", func(b *bench) {
			path, appear := b.executable()
			more := service("dev.portward.test.later")
			more["Program"] = path
			t := b.load("dev.portward.test.later", "serve", more)
			c := b.dial("dev.portward.test.later")
			b.next(t, jobs.StartFailed)
			b.next(t, jobs.StartFailed)
			appear()
			if n := b.life(c); n < 3 {
				b.Fatalf("life %d answers", n)
			}
		}},
		{"a job inherits its sockets, the lifeline, its life and its surroundings", func(b *bench) {
			more := service("dev.portward.test.heir")
			more["RunAtLoad"], more["WorkingDirectory"] = true, b.dir
			t := b.load("dev.portward.test.heir", "serve", more)
			n := b.note("dev.portward.test.heir", "serve")
			if n.Life != 1 || n.Target != string(t) || n.Session != "" || n.Arg != "dev.portward.test.heir" || n.Dir != b.dir {
				b.Fatalf("child says %+v", n)
			}
			for _, name := range []string{"dev.portward.test.heir", jobs.Lifeline} {
				if !slices.Contains(n.Names, name) {
					b.Fatalf("no descriptor %s: %+v", name, n)
				}
			}
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
