package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"portward/internal/jobs"
	"portward/internal/jobs/jobstest"
)

// said is what a launchctl prints and ends with.
type said struct {
	Code           int
	Stdout, Stderr string
}

// relayLaunchctl asks the relay beside the program what to print.
func relayLaunchctl(dir string, args []string) int {
	c, err := net.Dial("unix", filepath.Join(dir, "launchd"))
	if err != nil {
		return 71
	}
	var s said
	if json.NewEncoder(c).Encode(args) != nil || json.NewDecoder(c).Decode(&s) != nil {
		return 71
	}
	fmt.Print(s.Stdout)
	fmt.Fprint(os.Stderr, s.Stderr)
	return s.Code
}

// relay is a launchd whose jobs the embedded engine keeps: with launchctl's
// codes and texts, a bootout that nobody waits for, and a bootstrap that is
// refused the first time.
type relay struct {
	t      *testing.T
	engine *jobs.Embedded
	tasks  sync.WaitGroup
	mu     sync.Mutex
	busy   bool // has been, once
}

// newRelay starts one and answers the path of its launchctl.
func newRelay(t *testing.T, e *jobs.Embedded) (launchctl string) {
	dir := shortDir(t)
	launchctl = filepath.Join(dir, "launchctl")
	exe, err := os.Executable()
	must(t, err)
	must(t, os.Symlink(exe, launchctl))
	l, err := net.Listen("unix", filepath.Join(dir, "launchd"))
	must(t, err)
	r := &relay{t: t, engine: e}
	r.tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.tasks.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); r.tasks.Wait() })
	return launchctl
}

func (r *relay) serve(c net.Conn) {
	defer c.Close()
	var args []string
	if err := json.NewDecoder(c).Decode(&args); err != nil {
		r.t.Error(err)
		return
	}
	json.NewEncoder(c).Encode(r.answer(args))
}

func (r *relay) answer(args []string) said {
	ctx, last := context.Background(), args[len(args)-1]
	switch verb := strings.Join(args[:len(args)-1], " "); {
	case args[0] == "bootstrap":
		return r.bootstrap(ctx, jobs.Domain(args[1]), last)
	case verb == "list":
		return r.list(ctx, jobs.MakeTarget(jobs.System, last))
	case args[0] == "asuser":
		return r.list(ctx, jobs.MakeTarget(jobs.SessionDomain(args[1]), last))
	case verb == "print":
		_, err := r.engine.State(ctx, jobs.Target(last))
		return saying(err)
	case verb == "bootout":
		return r.bootout(ctx, jobs.Target(last))
	case verb == "kickstart -p", verb == "kickstart -k -p":
		if err := r.engine.Kickstart(ctx, jobs.Target(last), strings.Contains(verb, "-k")); err != nil {
			return saying(err)
		}
		s, err := r.engine.State(ctx, jobs.Target(last))
		a := saying(err)
		a.Stdout = fmt.Sprintln(s.PID)
		return a
	}
	r.t.Errorf("launchctl %q", args)
	return said{Code: 64}
}

func (r *relay) bootstrap(ctx context.Context, d jobs.Domain, path string) said {
	r.mu.Lock()
	busy := r.busy
	r.busy = true
	r.mu.Unlock()
	if !busy {
		return said{Code: 37, Stderr: "Bootstrap failed: 37: Operation already in progress\n"}
	}
	err := r.engine.Bootstrap(ctx, d, path)
	if errors.Is(err, jobs.ErrAlreadyLoaded) {
		return said{Code: 5, Stderr: "Bootstrap failed: 5: Input/output error\n"}
	}
	return saying(err)
}

func (r *relay) bootout(ctx context.Context, t jobs.Target) said {
	if _, err := r.engine.State(ctx, t); err != nil {
		return said{Code: 3, Stderr: "Boot-out failed: 3: No such process\n"}
	}
	r.tasks.Go(func() { r.engine.Bootout(ctx, t) })
	return said{}
}

func (r *relay) list(ctx context.Context, t jobs.Target) said {
	s, err := r.engine.State(ctx, t)
	a := saying(err)
	if err != nil {
		return a
	}
	a.Stdout = "{\n\t\"LimitLoadToSessionType\" = \"System\";\n\t\"Label\" = \"" + t.Label() + "\";\n"
	if s.Last != nil {
		a.Stdout += fmt.Sprintf("\t\"LastExitStatus\" = %d;\n", s.Last.Code<<8|s.Last.Signal)
	}
	if s.PID != 0 {
		a.Stdout += fmt.Sprintf("\t\"PID\" = %d;\n", s.PID)
	}
	a.Stdout += "};\n"
	return a
}

func saying(err error) said {
	switch {
	case err == nil:
		return said{}
	case errors.Is(err, jobs.ErrNotLoaded):
		return said{113, "", "Could not find service in domain\n"}
	case errors.Is(err, jobs.ErrNoSession):
		return said{125, "", "Bootstrap failed: 125: Domain does not support specified action\n"}
	case errors.Is(err, jobs.ErrSessionType):
		return said{134, "", "Bootstrap failed: 134: Service cannot load in requested session\n"}
	}
	return said{5, "", "Input/output error\n"}
}

// launchdLacks is what launchd does not do or tell.
func launchdLacks() []jobstest.Lack {
	return []jobstest.Lack{
		{Ability: jobstest.Lives, Reason: "launchctl reports neither starts nor ends, and launchd has no numbers for lives"},
		{Ability: jobstest.Demand, Reason: "sockets and services are launchd's; this child takes them over in the project's own way only"},
		{Ability: jobstest.Files, Reason: "launchd.plist(5) calls the watching of files race-prone and lossy"},
		{Ability: jobstest.Continues, Reason: "nothing says that launchd continues a stopped process"},
	}
}

// Rule: launchd's engine keeps the contract too, as far as launchd can. Here it
// is launchctl's program, codes and texts that are played; the lives are real.
func TestLaunchd(t *testing.T) {
	jobstest.Test(t, func(t *testing.T) jobstest.Harness {
		e := open(t, options(t))
		l, err := jobs.NewPacedLaunchd(jobs.LaunchdOptions{
			Launchctl: newRelay(t, e), Sessions: e.Sessions, Poll: time.Hour, Log: t.Logf,
		}, jobstest.Patience, 5*time.Millisecond)
		must(t, err)
		t.Cleanup(l.Close)
		return jobstest.Harness{Engine: l, Login: e.Login, Logout: e.Logout}
	}, launchdLacks()...)
}
