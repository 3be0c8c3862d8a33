package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"portward/internal/deadman"
	"portward/internal/evidence"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/watchdog"
)

// engineWithin bounds what the loop asks of the engine: it is deaf meanwhile.
const engineWithin = 5 * time.Second

// env is the world as the dog sees it.
func (s *supervisor) env(ctx context.Context) watchdog.Env {
	within := func(f func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, engineWithin)
		defer cancel()
		return f(ctx)
	}
	return watchdog.Env{
		Kickstart: func(kill bool) error {
			return within(func(ctx context.Context) error { return s.engine.Kickstart(ctx, netchild, kill) })
		},
		Kill: s.kill,
		Hold: func(until time.Time) error {
			return within(func(ctx context.Context) error { return s.engine.Hold(ctx, netchild, until) })
		},
		Witness: s.witness,
		Report:  s.report,
	}
}

// kill ends the process of that life, if it is not over already. One that beats
// is asked for its last words before, which go where the engine has its stderr.
func (s *supervisor) kill(life watchdog.Life) error {
	ctx, cancel := context.WithTimeout(context.Background(), engineWithin)
	defer cancel()
	st, err := s.engine.State(ctx, netchild)
	s.mu.Lock()
	if err != nil || st.PID == 0 || watchdog.Life(st.Life) != life {
		s.mu.Unlock()
		return err
	}
	s.struck = life
	s.mu.Unlock()
	if !s.beats {
		return s.signal(ctx, st, syscall.SIGKILL)
	}
	time.AfterFunc(time.Duration(s.cfg.HangGrace), func() { s.signal(context.Background(), st, syscall.SIGKILL) })
	return s.signal(ctx, st, syscall.SIGQUIT)
}

// ended notes which life we end.
func (s *supervisor) ended(j jobs.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.struck = watchdog.Life(j.Life)
}

// witness keeps what a life left: its last words, how far it had got, and what
// the machine was doing. It answers what that says of the end.
func (s *supervisor) witness(life watchdog.Life, d watchdog.Death) watchdog.Evidence {
	s.mu.Lock()
	w := s.lives[life]
	delete(s.lives, life)
	ours := life == s.struck
	if d.Class == watchdog.None && d.Exit != nil && syscall.Signal(d.Exit.Signal) == syscall.SIGKILL && !ours {
		s.killed = life
	}
	s.mu.Unlock()
	ev := watchdog.Evidence{Class: d.Class, Text: d.Text}
	page := "no page of its progress: its last words, if it had any, are in its job's standard error\n"
	var stacks []byte
	defer w.close()
	if w != nil && w.page != nil {
		var err error
		if stacks, err = deadman.Stacks(w.stacks); err != nil {
			s.log("life %d: %v", life, err)
		}
		p := deadman.Read(w.page)
		now := deadman.Now()
		if d.Exit != nil && d.Class == watchdog.None {
			ev.Class, ev.Text = watchdog.Classify(watchdog.Reading(p), *d.Exit, now, stacks)
		}
		page = fmt.Sprintf("last progress: %v before the end was known, item %d, %v of CPU time by then\n", now-p.Beat, p.Items, p.CPU)
	}
	switch {
	case ev.Class == watchdog.None && ours && d.Exit != nil && d.Exit.Code == 0 && (d.Exit.Signal == 0 || d.Exit.Signal == int(syscall.SIGTERM) || d.Exit.Signal == int(syscall.SIGKILL)):
		ev.Class, ev.Text = watchdog.Asked, "to stop, for an update"
	case ev.Class == watchdog.None: // which counts as one
		ev.Class = watchdog.Crash
		if w == nil {
			ev.Text += ", before it had checked in with this supervisor"
		}
	}
	blob := fmt.Sprintf("life %d: %v: %s\n%s%s%s", life, ev.Class, ev.Text, page, evidence.Machine(), stacks)
	r := evidence.Record{Job: string(netchild), Life: uint64(life), Time: d.At, Class: ev.Class.String(), Text: ev.Text, Uptime: d.Uptime}
	if d.Exit != nil {
		r.Exit = fmt.Sprintf("code %d, signal %d, CPU %v", d.Exit.Code, d.Exit.Signal, d.Exit.CPU)
	}
	s.desk.do(func() {
		where, err := s.store.Add(r, []byte(blob))
		if err != nil {
			s.log("%v", err)
		}
		s.log("life %d: %v: %s (%s)", life, ev.Class, ev.Text, where)
	})
	return ev
}

// report publishes the dog's status. What could not be written is tried again
// with the next change. Nothing is published of a supervisor that may yet
// refuse its bundle: whoever reads a status takes it for one that serves.
func (s *supervisor) report(st watchdog.Status) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.told = st
	if s.public {
		s.publishLocked()
	}
}

// goPublic publishes from now on.
func (s *supervisor) goPublic() {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.public = true
	s.publishLocked()
}

func (s *supervisor) publishLocked() {
	st := s.told
	out := status.Status{
		Time:       time.Now(),
		Supervisor: status.Supervisor{PID: os.Getpid(), Build: s.p.Build},
		NetChild: status.NetChild{
			State: status.State(st.State.String()), Life: uint64(st.Life), PID: st.PID, Since: st.Since,
			Restarts: st.Restarts, Reason: st.Reason,
		},
		Payload: s.payload,
	}
	if st.Last.Class != watchdog.None {
		out.NetChild.Verdict = &status.Verdict{Class: st.Last.Class.String(), Time: st.Last.At, Life: uint64(st.Last.Life)}
	}
	if st.State == watchdog.Held {
		out.NetChild.HeldUntil, out.NetChild.Next = st.Until, st.Until
	}
	s.desk.do(func() {
		if err := status.Write(program.StatusPath(s.p.Root), out); err != nil {
			s.log("%v", err)
		}
	})
}

// A desk writes down, one after the other, what no life shall wait for: a disk
// that is busy takes longer than netchild does to be there again. Without one,
// whoever writes waits.
type desk chan func()

func openDesk() desk {
	d := make(desk, 64) // a disk that far behind is waited for
	go func() {
		for write := range d {
			write()
		}
	}()
	return d
}

func (d desk) do(write func()) {
	if d == nil {
		write()
		return
	}
	d <- write
}

// clear returns when all is written that was there to be.
func (d desk) clear() {
	written := make(chan struct{})
	d.do(func() { close(written) })
	<-written
}
