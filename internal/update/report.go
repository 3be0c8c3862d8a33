package update

import (
	"errors"
	"time"

	"portward/internal/status"
)

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

// answer is for who asked; a timer is nobody.
func (u *Updater) answer(r Request, text string, err error) {
	if r.ID == "" {
		return
	}
	a := status.Answer{ID: r.ID, Text: text}
	switch {
	case errors.Is(err, ErrHandOver):
		a.Text = "another bundle takes the place"
	case err != nil:
		a.Text, a.Error = "", err.Error()
	}
	u.pay.Answers = append(u.pay.Answers[max(0, len(u.pay.Answers)-maxAnswers+1):len(u.pay.Answers):len(u.pay.Answers)], a)
	u.report()
}

// report tells all that is told and all that is derived from what lies there.
func (u *Updater) report() {
	p, s := u.pay, u.sight
	p.State, p.Version, p.Hash, p.Channel = status.Installed, s.live.version(), s.live.hash, u.cfg.Channel
	switch {
	case s.live.seal == nil:
		p.State = status.Damaged
		if p.Error == "" {
			p.Error = s.live.err.Error()
		}
	case !u.hasPayload():
		p.State = status.NoPayload
	}
	p.Previous, p.Denied = s.previous.version(), u.rec.Denied
	if u.onTrial {
		p.Trial = &status.Trial{
			Version: u.rec.ToVersion, Hash: u.rec.To, From: u.rec.FromVersion,
			Attempts: u.rec.Attempts, Cold: u.rec.Cold == done,
		}
	}
	u.reported = time.Now()
	u.env.Report(p)
}
