package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"portward/internal/capture"
	"portward/internal/program"
	"portward/internal/wire"
)

// probeWithin is how long a probe tries, netchild's start on demand included,
// unless it is told: who started it knows how long that start may take.
const probeWithin = 10 * time.Second

var errServed = errors.New("a frame was served")

// probe finds out whether netchild serves a surface from end to end: it shows a
// test card, as an agent does, until netchild releases a frame of it.
func (a *agent) probe(ctx context.Context) (int, error) {
	limit := probeWithin
	if v, told := os.LookupEnv(wire.ProbeVariable); told {
		var err error
		if limit, err = time.ParseDuration(v); err != nil {
			return program.ExitConfig, fmt.Errorf("%s: %w", wire.ProbeVariable, err)
		}
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ctx, served := context.WithCancelCause(within)
	defer served(nil)
	err := a.probeUntil(ctx, func() { served(errServed) })
	switch {
	case errors.Is(context.Cause(ctx), errServed):
		return program.ExitOK, nil
	case errors.Is(within.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("netchild released no frame within %v: %w", limit, err)
	}
	return program.ExitAgain, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// probeUntil shows the test card until ctx ends, and answers the last thing
// that stood in the way. released is called for each frame that came back.
func (a *agent) probeUntil(ctx context.Context, released func()) error {
	src, err := capture.OpenTestcard(capture.Options{Session: a.p.Session})
	if err != nil {
		return err
	}
	defer src.Close()
	a.loop = newLoop()
	go a.loop.run(ctx, time.Second, nil)
	d, err := newDisplay(src, a.loop, func(uint32) { released() })
	if err != nil {
		return err
	}
	defer d.surfaces.Close()
	link := &link{a: a}
	defer link.close()
	patience := newPatience()
	for last := error(nil); ; {
		err := a.showOnce(ctx, d, link)
		if ctx.Err() == nil || last == nil {
			last = err // not what the end of ctx made of it
		}
		if ctx.Err() != nil || errors.Is(err, errRelaunch) {
			return last
		}
		pause(ctx, patience.NextBackOff())
	}
}
