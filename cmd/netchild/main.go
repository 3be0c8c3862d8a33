// Command netchild is the networking process: it takes agents' surfaces and
// shows them to viewers. It is expected to crash and to hang, so it keeps
// nothing that its next life could not do without. It must never touch the
// bundle on disk, other processes, or the supervisor's state.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"portward/internal/fault"
	"portward/internal/hub"
	"portward/internal/program"
	"portward/internal/surface"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// stopWithin is how long an orderly stop may take.
const stopWithin = 3 * time.Second

func main() {
	if slices.Contains(os.Args[1:], "--help") {
		fmt.Fprint(os.Stderr, "usage: netchild\n\nStarted by its job engine when somebody connects to it.\n")
		return
	}
	os.Exit(program.Main("netchild", run))
}

func run() (int, error) {
	p, err := program.Start(launchd.Supervisor, launchd.GUIAgent)
	if err != nil {
		return program.ExitConfig, err
	}
	zl, err := zap.NewProduction()
	if err != nil {
		return program.ExitConfig, err
	}
	ctx, cancel := p.Context()
	defer cancel()
	prepared := prepare(p.Root, cancel)
	n := &netchild{
		p: p, bundle: prepared, log: zl.Named("netchild").Sugar().Infof,
		transport: p.Transport(), started: time.Now(), agents: map[*xpcpeer.Conn]*agent{}, accounts: map[string]*surface.Account{},
		logins: newLogins(), leases: newLeases(),
	}
	n.life.Store(p.Life)
	n.hub = hub.New(hub.Config{Beat: n.beat, Log: n.log})
	err = n.serve(ctx, cancel, prepared)
	if why := prepared.failed(); why != nil {
		return program.ExitConfig, why
	}
	return program.ExitOK, err
}

// serve runs until ctx ends or netchild has been idle for long enough. Nothing
// is served before the supervisor watches: the terms of the first check-in say
// who may come in and how patient the kernel is.
func (n *netchild) serve(ctx context.Context, cancel context.CancelFunc, prepared *preparation) error {
	loop := make(chan error, 1)
	go func() { loop <- n.hub.Run(ctx) }()
	go n.leases.run(ctx)
	terms, err := n.checkIn(ctx)
	if err != nil {
		return stopped(ctx, err)
	}
	door, err := n.openDoor()
	if err != nil {
		return err
	}
	defer door.Close()
	shut, err := n.openViewer(ctx, prepared)
	if err != nil {
		return err
	}
	defer shut()
	go fault.Watch(n.p.Files[fault.Name], func(f fault.Fault) {
		n.log("told to fail: %v", f)
		fault.Actor{Loop: func(run func()) { n.hub.Do(ctx, run) }}.Do(f)
	})
	var idle <-chan struct{}
	if terms.Idle > 0 {
		idle = n.hub.Idle(terms.Idle)
	}
	reason := wire.ReasonStopping
	select {
	case <-idle:
		reason = wire.ReasonIdle
	case <-ctx.Done():
	case err := <-loop:
		return stopped(ctx, err)
	}
	program.Deadline(stopWithin)
	n.goodbye(reason)
	cancel()
	return nil
}

// stopped turns the errors of a stop that was asked for into none.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
