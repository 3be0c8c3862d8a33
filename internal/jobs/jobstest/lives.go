package jobstest

import (
	"slices"
	"syscall"

	"portward/internal/jobs"
)

func lifeCases() []rule {
	return []rule{
		{"RunAtLoad starts once, and no exit starts again", func(b *bench) {
			t := b.load("test.once", "exit 1", keys{"RunAtLoad": true})
			if e := b.next(t, jobs.Exited); e.Exit.Code != 1 || e.Life != 1 {
				b.Fatalf("exit: %+v", e)
			}
			b.status(t, jobs.Waiting)
		}},
		{"KeepAlive true starts a killed job again", func(b *bench) {
			t := b.load("test.keep", "sleep", keys{"KeepAlive": true})
			for life := range uint64(3) {
				e := b.next(t, jobs.Started)
				if e.Life != life+1 {
					b.Fatalf("life %d, want %d", e.Life, life+1)
				}
				b.ok(syscall.Kill(e.PID, syscall.SIGKILL))
				if x := b.next(t, jobs.Exited); x.Life != e.Life || x.PID != e.PID || x.Exit.Signal != int(syscall.SIGKILL) {
					b.Fatalf("exit: %+v", x)
				}
			}
		}},
		{"SuccessfulExit false starts again after a failure and not after success", func(b *bench) {
			more := service("test.success")
			more["KeepAlive"] = map[string]bool{"SuccessfulExit": false}
			t := b.load("test.success", "serve", more)
			b.next(t, jobs.Started)
			say(b.dial("test.success"), "exit 4")
			b.next(t, jobs.Exited)
			b.next(t, jobs.Started)
			say(b.dial("test.success"), "exit 0")
			b.next(t, jobs.Exited)
			b.status(t, jobs.Waiting)
		}},
		{"Crashed true starts again after a crash signal and not after SIGKILL", func(b *bench) {
			more := service("test.crashed")
			more["KeepAlive"] = map[string]bool{"Crashed": true}
			t := b.load("test.crashed", "serve", more)
			b.ok(syscall.Kill(b.next(t, jobs.Started).PID, syscall.SIGKILL))
			b.next(t, jobs.Exited)
			b.status(t, jobs.Waiting)
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			b.next(t, jobs.Started)
			say(b.dial("test.crashed"), "signal %d", syscall.SIGSEGV)
			b.next(t, jobs.Exited)
			b.next(t, jobs.Started)
		}},
		{"Kickstart starts what does not run, and leaves alone what does", func(b *bench) {
			t := b.load("test.kick", "sleep", nil)
			b.never(t, jobs.Started)
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			s := b.status(t, jobs.Running)
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			if again := b.status(t, jobs.Running); again.PID != s.PID || again.Life != 1 {
				b.Fatalf("%+v became %+v", s, again)
			}
		}},
		{"Kickstart with kill ends the life with SIGKILL and begins the next", func(b *bench) {
			t := b.load("test.rekick", "stubborn", nil)
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			b.ok(b.Engine.Kickstart(b.ctx, t, true))
			if s := b.status(t, jobs.Running); s.Life != 2 || s.Last.Signal != int(syscall.SIGKILL) {
				b.Fatalf("after kill: %+v", s)
			}
		}},
		{"StartInterval starts again and again, but not at load and not what runs", func(b *bench) {
			hourly := b.load("test.hourly", "exit 0", keys{"StartInterval": 3600})
			t := b.load("test.ticks", "exit 0", keys{"StartInterval": 1})
			long := b.load("test.long", "sleep", keys{"StartInterval": 1})
			pid := b.next(long, jobs.Started).PID
			for life := range uint64(2) {
				if e := b.next(t, jobs.Exited); e.Life != life+1 {
					b.Fatalf("exit: %+v", e)
				}
			}
			if s := b.state(t); s.Restarts != 0 {
				b.Fatalf("a tick after exit 0 is no restart: %+v", s)
			}
			if s := b.status(long, jobs.Running); s.Life != 1 || s.PID != pid {
				b.Fatalf("what runs was started again: %+v", s)
			}
			b.never(hourly, jobs.Started)
			b.ok(syscall.Kill(pid, syscall.SIGKILL))
			if e := b.next(long, jobs.Started); e.Life != 2 {
				b.Fatalf("started: %+v", e)
			}
		}},
		{"a start that fails is an event with a life, an error to who asked, and is retried", func(b *bench) {
			path, appear := b.executable()
			t := b.load("test.late", "sleep", keys{"Program": path, "KeepAlive": true})
			if e := b.next(t, jobs.StartFailed); e.Life != 1 || e.Err == "" {
				b.Fatalf("failed start: %+v", e)
			}
			b.fails(b.Engine.Kickstart(b.ctx, t, false), jobs.ErrStart)
			appear()
			e := b.next(t, jobs.Started)
			if e.Life < 3 {
				b.Fatalf("started: %+v", e)
			}
			if s := b.state(t); s.Restarts != e.Life-1 {
				b.Fatalf("restarts: %+v", s)
			}
		}},
		{"a failed start on demand is retried while the connection is queued", func(b *bench) {
			path, appear := b.executable()
			more := service("test.later")
			more["Program"] = path
			t := b.load("test.later", "serve", more)
			c := b.dial("test.later")
			b.next(t, jobs.StartFailed)
			b.next(t, jobs.StartFailed)
			appear()
			if n := b.life(c); n < 3 {
				b.Fatalf("life %d answers", n)
			}
		}},
		{"Bootout asks first, and what is gone is not loaded", func(b *bench) {
			t := b.load("test.out", "obey", keys{"RunAtLoad": true})
			pid := b.note("test.out", "obeying").PID
			b.ok(b.Engine.Bootout(b.ctx, t))
			if e := b.next(t, jobs.Exited); !e.Exit.Success() {
				b.Fatalf("exit: %+v", e)
			}
			b.next(t, jobs.Unloaded)
			if !Gone(pid) {
				b.Fatal("the process is there")
			}
			_, err := b.Engine.State(b.ctx, t)
			b.fails(err, jobs.ErrNotLoaded)
			b.fails(b.Engine.Bootout(b.ctx, t), jobs.ErrNotLoaded)
			b.fails(b.Engine.Kickstart(b.ctx, t, false), jobs.ErrNotLoaded)
			b.fails(b.Engine.Hold(b.ctx, t, b.deadline()), jobs.ErrNotLoaded)
		}},
		{"ExitTimeOut ends what does not obey", func(b *bench) {
			t := b.load("test.deaf", "stubborn", keys{"RunAtLoad": true, "ExitTimeOut": 1})
			b.note("test.deaf", "deaf")
			b.ok(b.Engine.Bootout(b.ctx, t))
			if e := b.next(t, jobs.Exited); e.Exit.Signal != int(syscall.SIGKILL) {
				b.Fatalf("exit: %+v", e)
			}
		}},
		{"a stopped process obeys Bootout", func(b *bench) {
			t := b.load("test.stopped", "sleep", keys{"RunAtLoad": true, "ExitTimeOut": 600})
			b.note("test.stopped", "sleep")
			b.ok(syscall.Kill(b.state(t).PID, syscall.SIGSTOP))
			b.ok(b.Engine.Bootout(b.ctx, t))
		}},
		{"when the main process dies the rest of its group is killed", func(b *bench) {
			t := b.load("test.family", "family", keys{"RunAtLoad": true})
			child := b.note("test.family", "deaf").PID
			b.ok(syscall.Kill(b.state(t).PID, syscall.SIGKILL))
			b.next(t, jobs.Exited)
			if !Gone(child) {
				b.Fatal("the group's member is there after the exit was reported")
			}
		}},
		{"AbandonProcessGroup leaves the rest of the group alone", func(b *bench) {
			t := b.load("test.abandon", "family", keys{"RunAtLoad": true, "AbandonProcessGroup": true})
			child := b.note("test.abandon", "deaf").PID
			b.Cleanup(func() { syscall.Kill(child, syscall.SIGKILL) })
			b.ok(b.Engine.Bootout(b.ctx, t))
			if Gone(child) {
				b.Fatal("the abandoned process was killed")
			}
		}},
		{"life numbers begin with 1 and never go back", func(b *bench) {
			path := b.write("test.lives", "exit 0", keys{"RunAtLoad": true})
			t := jobs.MakeTarget(jobs.System, "test.lives")
			for life := range uint64(3) {
				b.ok(b.Engine.Bootstrap(b.ctx, jobs.System, path))
				if e := b.next(t, jobs.Exited); e.Life != life+1 {
					b.Fatalf("life %d, want %d", e.Life, life+1)
				}
				b.ok(b.Engine.Bootout(b.ctx, t))
			}
		}},
		{"a job inherits its sockets, the lifeline, its life and its surroundings", func(b *bench) {
			more := service("test.heir")
			more["RunAtLoad"], more["WorkingDirectory"] = true, b.dir
			t := b.load("test.heir", "serve", more)
			n := b.note("test.heir", "serve")
			if n.Life != 1 || n.Target != string(t) || n.Session != "" || n.Arg != "test.heir" || n.Dir != b.dir {
				b.Fatalf("child says %+v", n)
			}
			for _, name := range []string{"test.heir", jobs.Lifeline} {
				if !slices.Contains(n.Names, name) {
					b.Fatalf("no descriptor %s: %+v", name, n)
				}
			}
		}},
	}
}
