package update

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"portward/internal/status"
	"portward/internal/update/pipe"
)

// Bounds of what is told, so that the status file can hold all of it.
const maxTold = 16 // the latest answers, warnings

// hold tells of a release that is known and not taken, and answers the same in
// one line.
func (u *Updater) hold(version, why string, until time.Time) string {
	u.pay.Deferred = &status.Deferred{Version: version, Why: pipe.Clip(why), Until: until}
	return strings.Replace(version+" waits: "+why, "waits: denied: ", "is denied: ", 1)
}

// phase says what begins now.
func (u *Updater) phase(p status.Phase) {
	u.pay.Phase, u.pay.Progress = p, nil
	u.report()
}

// progress tells how far it is, a few times a second at most.
func (u *Updater) progress(p status.Phase, n, total int64, unit string) {
	u.pay.Phase, u.pay.Progress = p, &status.Progress{Done: n, Total: total, Unit: unit}
	if time.Since(u.reported) >= 200*time.Millisecond {
		u.report()
	}
}

// answer is for who asked with that id; a timer is nobody.
func (u *Updater) answer(id, text string, err error) {
	if id == "" {
		return
	}
	a := status.Answer{ID: id, Text: pipe.Clip(text)}
	switch {
	case errors.Is(err, ErrHandOver):
		a.Kind, a.Text = status.HandedOver, ErrHandOver.Error()
	case errors.Is(err, errAskAgain):
		a.Kind, a.Error = status.AskAgain, errAskAgain.Error()
	case err != nil:
		a.Text, a.Error = "", pipe.Clip(err.Error())
	}
	latest := u.pay.Answers[max(0, len(u.pay.Answers)-maxTold+1):]
	u.pay.Answers = append(latest[:len(latest):len(latest)], a) // a report keeps the old ones
}

// report tells all that is told and all that is derived from what lies there.
func (u *Updater) report() {
	p, live := u.pay, u.sight.live
	p.State, p.Version, p.Hash, p.Channel = status.Installed, live.version(), live.hash, u.cfg.Channel
	p.Denied = u.rec.Denied
	if u.cfg.Repo {
		warnings := u.trust.Warnings(time.Now())
		for _, w := range warnings[:min(len(warnings), maxTold)] {
			p.Warnings = append(p.Warnings, pipe.Clip(w))
		}
	}
	if u.retained() {
		p.Previous = u.sight.beside.version()
	}
	switch {
	case live.seal == nil:
		p.State = status.Damaged
		p.Error = cmp.Or(p.Error, live.err.Error())
	case !u.hasPayload():
		p.State = status.NoPayload
	}
	if u.onTrial {
		p.Trial = &status.Trial{
			Version: u.rec.ToVersion, Hash: u.rec.To, From: u.rec.FromVersion,
			Attempts: u.rec.Attempts, Cold: u.rec.Cold == done,
		}
		if p.Phase == status.Idle {
			p.Phase = status.OnTrial
		}
	}
	p.Error = pipe.Clip(p.Error)
	u.reported = time.Now()
	u.env.Report(p)
}
