package update

import (
	"errors"
	"time"

	"portward/internal/status"
)

// maxAnswers is how many of the latest are told.
const maxAnswers = 16

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
	a := status.Answer{ID: id, Text: text}
	switch {
	case errors.Is(err, ErrHandOver):
		a.Text = "another bundle takes the place"
	case err != nil:
		a.Text, a.Error = "", err.Error()
	}
	latest := u.pay.Answers[max(0, len(u.pay.Answers)-maxAnswers+1):]
	u.pay.Answers = append(latest[:len(latest):len(latest)], a) // a report keeps the old ones
}

// report tells all that is told and all that is derived from what lies there.
func (u *Updater) report() {
	p, live := u.pay, u.sight.live
	p.State, p.Version, p.Hash, p.Channel = status.Installed, live.version(), live.hash, u.cfg.Channel
	p.Denied = u.rec.Denied
	if u.retained() {
		p.Previous = u.sight.beside.version()
	}
	switch {
	case live.seal == nil:
		p.State = status.Damaged
		if p.Error == "" {
			p.Error = live.err.Error()
		}
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
	u.reported = time.Now()
	u.env.Report(p)
}
