package jobstest

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"portward/internal/jobs"
)

func (b *bench) deadline() time.Time { return time.Now().Add(Patience) }

func (b *bench) login(id string, typ jobs.SessionType) {
	b.Helper()
	b.ok(b.Login(jobs.Session{ID: id, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), User: "user" + id, Type: typ,
		Env: []string{"JOBSTEST_ARG=session" + id}}))
	b.sessions()
}

// sessions has an engine that looks for logins look now.
func (b *bench) sessions() []jobs.Session {
	b.Helper()
	all, err := b.Engine.Sessions(b.ctx)
	b.ok(err)
	return all
}

func in(session, label string) jobs.Target {
	return jobs.MakeTarget(jobs.SessionDomain(session), label)
}

func sessionCases() []rule {
	return []rule{
		{"an agent is loaded in every session, present and future", func(b *bench) {
			b.login("1", "")
			b.ok(b.Engine.Bootstrap(b.ctx, jobs.GUI, b.write("dev.portward.test.agent", "sleep", keys{"RunAtLoad": true})))
			b.login("2", "")
			for _, id := range []string{"1", "2"} {
				b.lived(b.next(in(id, "dev.portward.test.agent"), jobs.Started).Life, 1)
			}
			all := b.sessions()
			if len(all) != 2 || all[0].ID != "1" || all[1].User != "user2" || all[1].Type != jobs.Aqua {
				b.Fatalf("sessions: %+v", all)
			}
			list, err := b.Engine.List(b.ctx)
			b.ok(err)
			if len(list) != 2 || list[0].Target != in("1", "dev.portward.test.agent") || list[1].Target != in("2", "dev.portward.test.agent") {
				b.Fatalf("jobs: %+v", list)
			}
		}},
		{"LimitLoadToSessionType keeps an agent out of other sessions", func(b *bench) {
			b.login("1", jobs.LoginWindow)
			path := b.write("dev.portward.test.type", "sleep", keys{"LimitLoadToSessionType": "Aqua"})
			b.ok(b.Engine.Bootstrap(b.ctx, jobs.GUI, path))
			_, err := b.Engine.State(b.ctx, in("1", "dev.portward.test.type"))
			b.fails(err, jobs.ErrNotLoaded)
			b.fails(b.Engine.Bootstrap(b.ctx, jobs.SessionDomain("1"), path), jobs.ErrSessionType)
			b.login("2", "")
			b.status(in("2", "dev.portward.test.type"), jobs.Waiting)
		}},
		{"a killed agent with KeepAlive comes back in its own session", func(b *bench) {
			b.ok(b.Engine.Bootstrap(b.ctx, jobs.GUI, b.write("dev.portward.test.back", "sleep", keys{"KeepAlive": true})))
			b.login("1", "")
			b.login("2", "")
			one, two := in("1", "dev.portward.test.back"), in("2", "dev.portward.test.back")
			b.next(two, jobs.Started)
			b.ok(syscall.Kill(b.next(one, jobs.Started).PID, syscall.SIGKILL))
			b.next(one, jobs.Exited)
			b.lived(b.next(one, jobs.Started).Life, 2)
			b.never(two, jobs.Exited)
		}},
		{"a killed agent without KeepAlive comes back by Kickstart and only then", func(b *bench) {
			b.login("1", "")
			b.ok(b.Engine.Bootstrap(b.ctx, jobs.GUI, b.write("dev.portward.test.asked", "sleep", keys{"RunAtLoad": true})))
			t := in("1", "dev.portward.test.asked")
			b.ok(syscall.Kill(b.next(t, jobs.Started).PID, syscall.SIGKILL))
			b.next(t, jobs.Exited)
			b.status(t, jobs.Waiting)
			b.never(t, jobs.Started)
			b.ok(b.Engine.Kickstart(b.ctx, t, false))
			b.next(t, jobs.Started)
			if !b.can(Lives) {
				return
			}
			b.until("its note", func() bool { return b.note("dev.portward.test.asked", "sleep").Life == 2 })
			if n := b.note("dev.portward.test.asked", "sleep"); n.Session != "1" || n.Target != string(t) {
				b.Fatalf("child says %+v", n)
			}
		}},
		{"a logout ends the session's jobs, then the session, and nothing of others", func(b *bench) {
			b.login("1", "")
			b.login("2", "")
			b.ok(b.Engine.Bootstrap(b.ctx, jobs.GUI, b.write("dev.portward.test.leave", "sleep", keys{"KeepAlive": true})))
			pid := b.next(in("1", "dev.portward.test.leave"), jobs.Started).PID
			b.ok(b.Logout(b.ctx, "1"))
			b.sessions()
			if !Gone(pid) {
				b.Fatal("the agent is there")
			}
			b.next(in("1", "dev.portward.test.leave"), jobs.Unloaded)
			b.next("", jobs.SessionClosed)
			b.fails(b.Logout(b.ctx, "1"), jobs.ErrNoSession)
			b.never(in("2", "dev.portward.test.leave"), jobs.Exited)
			b.login("1", "")
			b.lived(b.next(in("1", "dev.portward.test.leave"), jobs.Started).Life, 2)
		}},
		{"Bootout of an agent in the domain gui ends it everywhere and for ever", func(b *bench) {
			b.login("1", "")
			b.ok(b.Engine.Bootstrap(b.ctx, jobs.GUI, b.write("dev.portward.test.gone", "sleep", keys{"RunAtLoad": true})))
			b.next(in("1", "dev.portward.test.gone"), jobs.Started)
			b.ok(b.Engine.Bootout(b.ctx, jobs.MakeTarget(jobs.GUI, "dev.portward.test.gone")))
			b.next(in("1", "dev.portward.test.gone"), jobs.Unloaded)
			b.login("2", "")
			_, err := b.Engine.State(b.ctx, in("2", "dev.portward.test.gone"))
			b.fails(err, jobs.ErrNotLoaded)
		}},
	}
}

func worldCases() []rule {
	return []rule{
		{"what cannot be loaded says why", func(b *bench) {
			path := b.write("dev.portward.test.bad", "sleep", keys{"KeepAlive": map[string]any{"Sometimes": true}})
			err := b.Engine.Bootstrap(b.ctx, jobs.System, path)
			b.fails(err, jobs.ErrBadSpec)
			b.names(err, path, "KeepAlive.Sometimes")
			b.fails(b.Engine.Bootstrap(b.ctx, jobs.System, filepath.Join(b.dir, "none.plist")), os.ErrNotExist)
			good := b.write("dev.portward.test.twice", "sleep", nil)
			b.ok(b.Engine.Bootstrap(b.ctx, jobs.System, good))
			b.fails(b.Engine.Bootstrap(b.ctx, jobs.System, good), jobs.ErrAlreadyLoaded)
			b.fails(b.Engine.Bootstrap(b.ctx, jobs.SessionDomain("9"), good), jobs.ErrNoSession)
			b.fails(b.Engine.Bootstrap(b.ctx, "user/1", good), jobs.ErrMalformed)
			_, err = b.Engine.State(b.ctx, "system/dev.portward.test.none")
			b.fails(err, jobs.ErrNotLoaded)
		}},
		{"a watch sees a life in order and ends with its context", func(b *bench) {
			ctx, cancel := context.WithCancel(b.ctx)
			defer cancel()
			events, err := b.Engine.Watch(ctx)
			b.ok(err)
			t := b.load("dev.portward.test.watch", "exit 0", keys{"RunAtLoad": true})
			wants := []jobs.EventKind{jobs.Loaded, jobs.Unloaded}
			if b.can(Lives) {
				b.next(t, jobs.Exited)
				wants = []jobs.EventKind{jobs.Loaded, jobs.Started, jobs.Exited, jobs.Unloaded}
			}
			b.ok(b.Engine.Bootout(b.ctx, t))
			b.next(t, jobs.Unloaded)
			for _, want := range wants {
				if e := <-events; e.Kind != want || e.Target != t || e.Time.IsZero() {
					b.Fatalf("event %+v, want %v", e, want)
				}
			}
			cancel()
			for range events {
				b.Fatal("an event after the end")
			}
		}},
	}
}

func fileCases() []rule {
	return []rule{
		{"PathState runs a job while a path is there, whatever was there before", func(b *bench) {
			flag := filepath.Join(b.dir, "deep", "er", "flag")
			t := b.load("dev.portward.test.path", "serve", keys{
				"MachServices": map[string]bool{"dev.portward.test.path": true},
				"KeepAlive":    map[string]any{"PathState": map[string]bool{flag: true}}})
			b.never(t, jobs.Started)
			b.ok(os.MkdirAll(filepath.Dir(flag), 0o755))
			b.ok(os.WriteFile(flag, nil, 0o644))
			b.next(t, jobs.Started)
			say(b.dial("dev.portward.test.path"), "exit 0")
			b.next(t, jobs.Exited)
			b.next(t, jobs.Started)
			b.ok(os.RemoveAll(filepath.Join(b.dir, "deep")))
			b.until("it stays away", func() bool {
				s := b.state(t)
				if s.Status == jobs.Running && s.PID != 0 {
					syscall.Kill(s.PID, syscall.SIGKILL)
				}
				return s.Status == jobs.Waiting
			})
		}},
		{"a change of a WatchPaths entry starts the job, also after its directory was exchanged", func(b *bench) {
			dir, next := filepath.Join(b.dir, "now"), filepath.Join(b.dir, "next")
			for _, d := range []string{dir, next} {
				b.ok(os.Mkdir(d, 0o755))
				b.ok(os.WriteFile(filepath.Join(d, "version"), []byte(d), 0o644))
			}
			file := filepath.Join(dir, "version")
			t := b.load("dev.portward.test.changed", "exit 0", keys{"WatchPaths": []string{file}})
			b.never(t, jobs.Started)
			change := func(life uint64, f func() error) {
				b.Helper()
				b.ok(f())
				b.until("it has run", func() bool { return b.state(t).Life >= life && b.state(t).Status == jobs.Waiting })
			}
			b.until("the first change is seen", func() bool { // the watch begins after Bootstrap
				b.ok(os.WriteFile(file, []byte(time.Now().String()), 0o644))
				return b.state(t).Life > 0
			})
			b.until("it rests", func() bool { return b.state(t).Status == jobs.Waiting })
			change(b.state(t).Life+1, func() error {
				b.ok(os.Rename(dir, filepath.Join(b.dir, "old")))
				return os.Rename(next, dir)
			})
			change(b.state(t).Life+1, func() error { return os.WriteFile(file, []byte("third"), 0o644) })
		}},
	}
}
