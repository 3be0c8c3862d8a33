package main

import (
	"context"
	"fmt"
	"time"

	"portward/internal/program"
	"portward/internal/status"
)

// progressEvery is the least time between two lines that differ in nothing but
// how far a download is.
const progressEvery = 5 * time.Second

// lacksPayload says whether the status tells that there is no netchild that
// could be dialled.
func (a *agent) lacksPayload() bool {
	st, err := status.Read(program.StatusPath(a.p.Root))
	return err == nil && st.Payload.State == status.NoPayload
}

// awaitPayload waits until the status tells that a payload is installed, and
// logs what is done about it meanwhile. It answers false when the status can
// not be followed, or ctx ended.
func (a *agent) awaitPayload(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news, err := status.Watch(ctx, program.StatusPath(a.p.Root))
	if err != nil {
		a.log("status: %v", err)
		return false
	}
	var last status.Payload
	var said string
	var at time.Time
	for st := range news {
		p := st.Payload
		if p.State != status.NoPayload {
			a.log("release %s: %s", p.Version, p.State)
			return true
		}
		step := p.Phase != last.Phase || p.Error != last.Error || time.Since(at) >= progressEvery
		if line := lack(p); line != said && step {
			a.log("%s", line)
			last, said, at = p, line, time.Now()
		}
	}
	return false
}

// lack says for people what is missing and what is done about it.
func lack(p status.Payload) string {
	switch {
	case p.Phase == "":
		return "no release, and nobody who fetches one"
	case p.Progress != nil && p.Progress.Unit == "bytes":
		return fmt.Sprintf("no release yet: %s %s of %s MB", p.Phase, megabytes(p.Progress.Done), megabytes(p.Progress.Total))
	case p.Phase == status.Idle && p.Error != "":
		return "no release yet: " + p.Error
	case p.Phase == status.Idle:
		return "no release yet"
	}
	return fmt.Sprintf("no release yet: %s", p.Phase)
}

// megabytes has two digits at least: "3.1", "12".
func megabytes(n int64) string {
	if n > 0 && n < 9_950_000 {
		return fmt.Sprintf("%.1f", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f", float64(n)/1e6)
}
