package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/update"
)

// handOverWithin is how long that may take before nobody waits for it who did
// not ask for the verdict.
const handOverWithin = 30 * time.Second

// An awaited answer: to what was asked, and what was there before.
type awaited struct {
	id, op string
	wait   bool          // for the trial's end
	window time.Duration // of a trial; 0: not known
	before status.Status
	show   *screen

	said    string
	late    <-chan time.Time // set once the answer was a hand-over: another supervisor has to say the rest
	trial   *status.Trial    // which is waited for
	unheard bool             // the supervisor ended before it came to it
	again   bool             // that was none of what was asked for: ask again after it
}

// await shows what the supervisor does until it, or the one after it, has
// answered.
func (a *awaited) await(ctx context.Context, news <-chan status.Status) (int, error) {
	for {
		select {
		case <-ctx.Done():
			return program.ExitAgain, errors.New("no answer yet; the supervisor goes on\nhint: portward status")
		case <-a.late:
			if a.late = nil; a.unheard && a.trial == nil {
				return program.ExitAgain, errors.New("the supervisor ended before it came to this, and no other is there\nhint: portward status")
			}
			if !a.wait {
				a.show.say("%v; portward status --watch tells", update.ErrHandOver)
				return program.ExitOK, nil
			}
		case st, ok := <-news:
			if !ok {
				return program.ExitAgain, errors.New("the status file is gone")
			}
			if over, text, err := a.hear(st); err != nil {
				return program.ExitAgain, err
			} else if over {
				a.show.say("%s", text)
				return program.ExitOK, nil
			}
		}
	}
}

// hear takes the next status. It answers whether that is the end, and what it is.
func (a *awaited) hear(st status.Status) (over bool, text string, err error) {
	if a.before.Version == 0 {
		a.before = st
	}
	a.tell(st.Payload)
	if a.trial != nil {
		return a.verdict(st.Payload)
	}
	i := slices.IndexFunc(st.Payload.Answers, func(x status.Answer) bool { return x.ID == a.id })
	if i >= 0 {
		switch x := st.Payload.Answers[i]; {
		case x.Kind == status.AskAgain:
			if !a.unheard {
				a.unheard, a.late = true, time.After(handOverWithin)
			}
		case x.Error != "" && a.wait && st.Payload.Trial != nil: // it came by itself
			a.trial, a.again = st.Payload.Trial, true
			return false, "", nil
		case x.Error != "":
			return true, "", a.refusal(x.Error, st.Payload)
		case x.Kind != status.HandedOver:
			return true, x.Text + map[bool]string{true: ": it will be, at the next check"}[a.op == "unblock"], nil
		case a.late == nil:
			a.late = time.After(handOverWithin)
		}
	}
	if a.unheard && (st.Payload.Hash == a.before.Payload.Hash || a.op != "update" && a.op != "force") {
		a.again = st.Supervisor.PID != a.before.Supervisor.PID
		return a.again, "the next supervisor is asked", nil
	}
	if now := st.Payload.Hash; now != "" && now != a.before.Payload.Hash {
		return a.moved(st.Payload)
	}
	if i >= 0 && st.Supervisor.PID != a.before.Supervisor.PID { // it was put in place, and is no more
		return true, "", undone("the release", st.Payload)
	}
	return false, "", nil
}

// verdict waits for the end of a trial.
func (a *awaited) verdict(p status.Payload) (over bool, text string, err error) {
	switch {
	case p.Hash != a.trial.Hash:
		return true, "", undone(a.trial.Version, p)
	case p.Trial != nil:
		return false, "", nil
	}
	return true, p.Version + " passed its trial", nil
}

// moved: another bundle is in place.
func (a *awaited) moved(p status.Payload) (over bool, text string, err error) {
	switch {
	case p.Trial != nil && a.wait:
		a.trial = p.Trial
		return false, "", nil
	case p.Trial != nil && a.window > 0:
		return true, fmt.Sprintf("%s is in place, on trial for %v; portward status --watch tells", p.Version, a.window), nil
	case p.Trial != nil:
		return true, p.Version + " is in place, on trial; portward status --watch tells", nil
	}
	return true, p.Version + " is in place", nil
}

// undone is the error for a release that did not pass.
func undone(version string, p status.Payload) error {
	why := p.Error
	if n := len(p.Denied); n > 0 {
		version, why = p.Denied[n-1].Version, p.Denied[n-1].Why
	}
	return fmt.Errorf("%s failed its trial, and %s is back: %s\nhint: portward explain", version, p.Version, cmp.Or(why, "it was undone"))
}

// refusal is the error for what the supervisor did not do, with the way out.
func (a *awaited) refusal(text string, p status.Payload) error {
	last := status.Denied{}
	if n := len(p.Denied); n > 0 {
		last = p.Denied[n-1]
	}
	switch d := p.Deferred; {
	case a.op == "rollback" && p.Previous == "" && last.Version != "":
		return fmt.Errorf("%s: %s was undone already: %s", text, last.Version, last.Why)
	case a.op != "rollback" && d != nil && slices.ContainsFunc(p.Denied, func(x status.Denied) bool { return x.Version == d.Version }):
		return fmt.Errorf("%s\nhint: portward unblock %s", text, d.Version)
	case a.op != "rollback" && p.Trial != nil:
		return fmt.Errorf("%s\nhint: portward update --wait waits for the verdict", text)
	}
	return errors.New(text)
}

// tell shows how far it is: in place on a terminal, elsewhere each step once.
func (a *awaited) tell(p status.Payload) {
	if !a.show.live {
		p.Progress = nil
	}
	line := payloadLine(p)
	switch {
	case line == a.said:
	case a.show.live:
		a.show.draw(line)
	default:
		a.show.say("%s", line)
	}
	a.said = line
}
