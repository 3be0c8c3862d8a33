package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"portward/internal/evidence"
	"portward/internal/program"
	"portward/internal/status"
)

// releases is the job under which the stores keep what became of releases.
const releases = "update"

// notTaken is the class of a look at the repository that came to nothing.
const notTaken = "not taken"

// maxAttempts bounds how many of those are kept, each for its own reason: the
// ends of processes need the room.
const maxAttempts = 16

// news is what the status file said last, and what was made of it. Its follower
// owns it; hangs alone is read by others, with the world's lock.
type news struct {
	last     status.Status
	attempts []string // why looks came to nothing
	hangs    uint64   // of netchild: before the gap of each the picture stood still
}

// follow shows what the supervisor publishes and keeps what explain needs later.
// The returned function ends that and waits for it.
func (w *world) follow() (wait func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	file, err := status.Watch(ctx, program.StatusPath(w.o.root))
	if err != nil {
		cancel()
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for st := range file {
			w.hear(st)
		}
	}()
	return func() { cancel(); <-done }, nil
}

// hear compares a status with the one before.
func (w *world) hear(st status.Status) {
	was := w.news.last
	w.news.last = st
	if p := st.Payload; p.Error != "" && p.Error != was.Payload.Error {
		w.attempt(p, st)
	}
	if c := st.NetChild; c.State == status.Held && !c.HeldUntil.Equal(was.NetChild.HeldUntil) && !w.show.live {
		w.show.say("netchild is held: %s", heldInWords(c))
	}
	if v := st.NetChild.Verdict; v != nil && (was.NetChild.Verdict == nil || v.Life != was.NetChild.Verdict.Life) {
		w.verdict(v)
	}
}

// attempt tells why a look at the repository came to nothing. What was denied
// meanwhile the supervisor tells itself.
func (w *world) attempt(p status.Payload, st status.Status) {
	w.show.note("release: the last attempt: %s", p.Error)
	denied := slices.ContainsFunc(p.Denied, func(d status.Denied) bool { return d.Why == p.Error })
	if denied || len(w.news.attempts) >= maxAttempts || slices.Contains(w.news.attempts, p.Error) {
		return
	}
	w.news.attempts = append(w.news.attempts, p.Error)
	if _, err := w.seen.Add(evidence.Record{Job: releases, Time: st.Time, Class: notTaken, Text: p.Error}, nil); err != nil {
		w.show.say("evidence: %v", err)
	}
}

// verdict tells what the supervisor made of an end that was shown before.
func (w *world) verdict(v *status.Verdict) {
	if isHang(v.Class) {
		w.mu.Lock()
		w.news.hangs++
		w.mu.Unlock()
	}
	text := v.Class
	judged, _, _ := evidence.List(program.EvidenceDir(w.o.root)) // whose errors explain tells
	for _, r := range judged {
		if r.Job == string(netchildTarget) && r.Life == v.Life {
			text = inWords(r)
		}
	}
	w.show.note("%s: life %d: %s", netchildTarget, v.Life, text)
}

// isHang: the class says that the picture stood still before the end.
func isHang(class string) bool { return strings.HasPrefix(class, "hang/") || class == "stopped" }

func heldInWords(c status.NetChild) string {
	return c.Reason + "; the next attempt at " + c.HeldUntil.Local().Format("15:04:05")
}

// noRelease is the end of an up that waited for a release in vain.
func noRelease(p status.Payload) error {
	why := p.Error
	switch n := len(p.Denied); {
	case why != "":
	case n > 0:
		why = p.Denied[n-1].Version + " failed here: " + p.Denied[n-1].Why
	case p.Deferred != nil:
		why = p.Deferred.Version + " waits: " + p.Deferred.Why
	case p.Phase != "" && p.Phase != status.Idle:
		why = "the end came in the phase " + string(p.Phase)
	default:
		why = "the channel " + cmp.Or(p.Channel, "?") + " offers none"
	}
	return fmt.Errorf("no release was installed: %s\nhint: portward explain", why)
}
