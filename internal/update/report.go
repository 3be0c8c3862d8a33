package update

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"

	"portward/internal/status"
)

// Bounds of what is told, so that the status file can hold all of it.
const maxTold, maxText = 16, 200 // the latest answers, warnings; bytes of one text, as JSON

// clip makes one line of printable letters of a text, and ends it where it would
// be too long.
func clip(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "; ")
	left := maxText
	return strings.Map(func(r rune) rune {
		written, _ := json.Marshal(string(r))
		if left -= len(written) - len(`""`); left < 0 {
			return -1
		}
		return r
	}, text)
}

// hold tells of a release that is known and not taken, and answers the same in
// one line.
func (u *Updater) hold(version, why string, until time.Time) string {
	u.pay.Deferred = &status.Deferred{Version: version, Why: clip(why), Until: until}
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
	a := status.Answer{ID: id, Text: clip(text)}
	switch {
	case errors.Is(err, ErrHandOver):
		a.Text = "another bundle takes the place"
	case err != nil:
		a.Text, a.Error = "", clip(err.Error())
	}
	latest := u.pay.Answers[max(0, len(u.pay.Answers)-maxTold+1):]
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
	p.Error = clip(p.Error)
	u.reported = time.Now()
	u.env.Report(p)
}
