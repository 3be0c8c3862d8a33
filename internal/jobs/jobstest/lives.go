package jobstest

import (
	"syscall"
	"time"

	"portward/internal/jobs"
)

func lifeCases() []rule {
	return []rule{
		{"RunAtLoad starts once, and no exit starts again", func(b *bench) {
			t := b.load("dev.portward.test.once", "exit 1", keys{"RunAtLoad": true})
			if x := b.badEnd(t); x.Code != 1 {
				b.Fatalf("exit: %+v", x)
			}
			b.status(t, jobs.Waiting)
		}},
		{"KeepAlive true starts a killed job again", func(b *bench) {
			t := b.load("dev.portward.test.keep", "sleep", keys{"KeepAlive": true})
			for life := range uint64(3) {
				e := b.next(t, jobs.Started)
				b.lived(e.Life, life+1)
				b.ok(syscall.Kill(e.PID, syscall.SIGKILL))
				if x := b.next(t, jobs.Exited); x.Life != e.Life || x.PID != e.PID || x.Exit.Signal != int(syscall.SIGKILL) {
					b.Fatalf("exit: %+v", x)
				}
			}
		}},
		{"Kickstart starts what does not run, and leaves alone what does", func(b *bench) {
			t := b.load("dev.portward.test.kick", "sleep", nil)
			b.never(t, jobs.Started)
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			s := b.status(t, jobs.Running)
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			if again := b.status(t, jobs.Running); again.PID != s.PID {
				b.Fatalf("%+v became %+v", s, again)
			}
			b.lived(s.Life, 1)
		}},
		{"Kickstart with kill ends the life with SIGKILL and begins the next", func(b *bench) {
			t := b.load("dev.portward.test.rekick", "stubborn", keys{"ExitTimeOut": 1})
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			before := b.status(t, jobs.Running)
			b.ok(b.Engine.Kickstart(b.ctx, t, true))
			s := b.status(t, jobs.Running)
			if s.PID == before.PID || s.Last == nil || s.Last.Signal != int(syscall.SIGKILL) {
				b.Fatalf("after kill: %+v", s)
			}
			b.lived(s.Life, 2)
		}},
		{"Bootout asks first, and what is gone is not loaded", func(b *bench) {
			t := b.load("dev.portward.test.out", "obey", keys{"RunAtLoad": true})
			pid := b.note("dev.portward.test.out", "obeying").PID
			b.ok(b.Engine.Bootout(b.ctx, t))
			b.note("dev.portward.test.out", "obeyed")
			if b.can(Lives) && !b.next(t, jobs.Exited).Exit.Success() {
				b.Fatalf("exit: %+v", b.seen)
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
			t := b.load("dev.portward.test.deaf", "stubborn", keys{"RunAtLoad": true, "ExitTimeOut": 1})
			pid := b.note("dev.portward.test.deaf", "deaf").PID
			b.ok(b.Engine.Bootout(b.ctx, t))
			if !Gone(pid) {
				b.Fatal("the process is there")
			}
			if b.can(Lives) && b.next(t, jobs.Exited).Exit.Signal != int(syscall.SIGKILL) {
				b.Fatalf("exit: %+v", b.seen)
			}
		}},
		{"when the main process dies the rest of its group is killed", func(b *bench) {
			t := b.load("dev.portward.test.family", "family", keys{"RunAtLoad": true})
			child := b.note("dev.portward.test.family", "deaf").PID
			b.ok(syscall.Kill(b.state(t).PID, syscall.SIGKILL))
			b.next(t, jobs.Exited)
			if !b.can(Lives) { // seen by looking, which may be too early
				b.until("the rest is gone", func() bool { return Gone(child) })
			}
			if !Gone(child) {
				b.Fatal("the group's member is there after the exit was reported")
			}
		}},
		{"AbandonProcessGroup leaves the rest of the group alone", func(b *bench) {
			t := b.load("dev.portward.test.abandon", "family", keys{"RunAtLoad": true, "AbandonProcessGroup": true})
			child := b.note("dev.portward.test.abandon", "deaf").PID
			b.Cleanup(func() { syscall.Kill(child, syscall.SIGKILL) })
			b.ok(b.Engine.Bootout(b.ctx, t))
			if Gone(child) {
				b.Fatal("the abandoned process was killed")
			}
		}},
		{"a hold lets a running job run, keeps it afterwards, and ends", func(b *bench) {
			t := b.load("dev.portward.test.kept", "sleep", nil)
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			s := b.status(t, jobs.Running)
			b.ok(b.Engine.Hold(b.ctx, t, time.Now().Add(time.Hour)))
			b.fails(b.Engine.Kickstart(b.ctx, t, true), jobs.ErrHeld)
			if again := b.status(t, jobs.Running); again.PID != s.PID || again.HeldUntil.IsZero() {
				b.Fatalf("%+v became %+v", s, again)
			}
			b.ok(syscall.Kill(s.PID, syscall.SIGKILL))
			b.until("it is held", func() bool { return b.state(t).Status == jobs.Held })
			b.fails(b.Engine.Kickstart(b.ctx, t, false), jobs.ErrHeld)
			b.ok(b.Engine.Hold(b.ctx, t, time.Time{}))
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			b.status(t, jobs.Running)
		}},
	}
}

// countedCases are those that count lives.
func countedCases() []rule {
	return []rule{
		{"StartInterval starts again and again, but not at load and not what runs", func(b *bench) {
			hourly := b.load("dev.portward.test.hourly", "exit 0", keys{"StartInterval": 3600})
			t := b.load("dev.portward.test.ticks", "exit 0", keys{"StartInterval": 1})
			long := b.load("dev.portward.test.long", "sleep", keys{"StartInterval": 1})
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
			t := b.load("dev.portward.test.late", "sleep", keys{"Program": path, "KeepAlive": true})
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
		{"life numbers begin with 1 and never go back", func(b *bench) {
			path := b.write("dev.portward.test.lives", "exit 0", keys{"RunAtLoad": true})
			t := jobs.MakeTarget(jobs.System, "dev.portward.test.lives")
			for life := range uint64(3) {
				b.ok(b.Engine.Bootstrap(b.ctx, jobs.System, path))
				if e := b.next(t, jobs.Exited); e.Life != life+1 {
					b.Fatalf("life %d, want %d", e.Life, life+1)
				}
				b.ok(b.Engine.Bootout(b.ctx, t))
			}
		}},
	}
}

func stoppedCases() []rule {
	return []rule{
		{"a stopped process obeys Bootout", func(b *bench) {
			t := b.load("dev.portward.test.stopped", "sleep", keys{"RunAtLoad": true, "ExitTimeOut": 600})
			b.note("dev.portward.test.stopped", "sleep")
			b.ok(syscall.Kill(b.state(t).PID, syscall.SIGSTOP))
			b.ok(b.Engine.Bootout(b.ctx, t))
		}},
	}
}
