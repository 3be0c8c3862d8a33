// Command guiagent captures one login's displays and hands them to netchild.
// It runs as the logged-in user. It must never touch the network, root, or any
// command path to the supervisor.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"portward/internal/bundle"
	"portward/internal/capture"
	"portward/internal/counters"
	"portward/internal/deadman"
	"portward/internal/fault"
	"portward/internal/program"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// How long the agent's own loop may stand still before the kernel ends it and
// its job starts it again: longer than a display may (capture.OpenX11), which is
// no fault of the agent's.
const (
	selfLimit = 15 * time.Second
	selfGrace = 2 * time.Second
)

const usage = `usage: guiagent [--ask SESSION | --probe]

Started by its job engine at each login; it shows the login's displays to
netchild until it is told to stop.

  --ask SESSION   ask the agent of another session who it is, by an endpoint
                  that netchild relays, and print the answer
  --probe         show a test card to netchild until it releases a frame; the
                  supervisor's way to see that a release works. Exits 75, and
                  says why, if that does not happen within 10 s, or
                  within PORTWARD_PROBE_WITHIN
`

func main() { os.Exit(program.Main("guiagent", run)) }

func run() (int, error) {
	fs := flag.NewFlagSet("guiagent", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	ask := fs.String("ask", "", "")
	probe := fs.Bool("probe", false, "")
	if err := fs.Parse(os.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return program.ExitOK, nil
	} else if err != nil || fs.NArg() > 0 || *probe && *ask != "" {
		fs.Usage()
		return program.ExitUsage, err
	}
	p, err := program.Start(launchd.NetChild, launchd.GUIAgent)
	if err != nil {
		return program.ExitConfig, err
	}
	zl, err := zap.NewProduction()
	if err != nil {
		return program.ExitConfig, err
	}
	ctx, cancel := p.Context()
	defer cancel()
	known, err := bundle.OpenKnown(program.BundleDir(p.Root), program.RetainedSeal(p.Root))
	if err != nil {
		return program.ExitConfig, err
	}
	a := &agent{p: p, bundle: known, log: zl.Named("guiagent").Sugar().Infof, transport: p.Transport()}
	if *ask != "" {
		return a.ask(ctx, *ask)
	}
	if *probe {
		p.Session = cmp.Or(p.Session, wire.ProbeSession)
		a.log = func(string, ...any) {} // the one line that matters is the error
		return a.probe(ctx)
	}
	if a.lease, err = readLease(time.Now()); err != nil {
		return program.ExitConfig, err
	}
	if f := p.Files[counters.Name]; f != nil {
		if a.counters, err = counters.Open(f); err != nil {
			return program.ExitConfig, err
		}
	}
	return withMenu(ctx, a.scene, a.serve)
}

// serve runs until ctx ends.
func (a *agent) serve(ctx context.Context) (int, error) {
	loop := newLoop()
	timer, err := deadman.Arm(selfLimit, selfGrace, nil)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return program.ExitInternal, err
	}
	go fault.Watch(a.p.Files[fault.Name], func(f fault.Fault) {
		a.log("told to fail: %v", f)
		fault.Actor{Loop: loop.do}.Do(f)
	})
	go loop.run(ctx, selfLimit/4, timer)
	a.loop = loop
	defer a.beside.wait()
	return a.receive(ctx, a.openSource)
}

// receive streams what open answers, and answers whoever holds the agent's endpoint
// meanwhile.
func (a *agent) receive(ctx context.Context, open func(context.Context) (capture.Picture, error)) (int, error) {
	door, err := xpcpeer.Anonymous(a.transport, xpcpeer.Config{
		Policy:      a.mayCall,
		Requirement: a.p.Requirement(launchd.NetChild, launchd.GUIAgent),
		Log:         a.log,
		Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
			return xpcpeer.Events{Message: a.called}, nil
		},
	})
	if err != nil {
		return program.ExitInternal, err
	}
	defer door.Close()
	a.door = door
	return a.stream(ctx, open)
}
