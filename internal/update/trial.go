package update

import (
	"context"
	"errors"
	"time"

	"portward/internal/status"
)

// trial lets the live bundle prove itself: a short look after everything was
// restarted into it, a cold start, and the whole window. Nil means that it
// stays. Whatever happens to this process, the next one begins the same half
// again, and its starts are counted.
func (u *Updater) trial(ctx context.Context) error {
	u.phase(status.OnTrial)
	if u.rec.From != "" {
		if err := u.env.Rescue(ctx, true); err != nil { // a reboot may have lost it
			u.pay.Error = err.Error()
		}
	}
	first := u.rec.Cold == warm
	window := u.cfg.TrialWindow
	if first {
		window = min(window/10, firstTrial)
	}
	watching, stop := u.inbox.interruptible(ctx)
	w := &watch{u: u, window: window, stop: stop}
	err := u.env.Trial(watching, TrialStep{First: first, Window: window, Healthy: w.healthy})
	w.answerAll() // the rollback that ended it, maybe
	stop()
	u.pay.Progress = nil
	var failure *Failure
	switch {
	case w.lost != nil:
		return w.lost
	case w.rollback != nil:
		u.asked = w.rollback.ID
		err = u.fail(ctx, "rolled back by a person")
		u.answer(*w.rollback, "", err)
		return err
	case errors.As(err, &failure):
		return u.fail(ctx, failure.Error())
	case err != nil:
		return err
	case first:
		return u.coldStart(ctx)
	}
	u.onTrial = false
	return u.persist(ctx, func(r *record) { r.settle(Committed, "") })
}

// coldStart ends everything, this process last: what is started on demand then
// is the release as the next morning will see it.
func (u *Updater) coldStart(ctx context.Context) error {
	if err := u.env.Stop(ctx); err != nil {
		return err
	}
	err := u.persist(ctx, func(r *record) { r.Cold, r.Attempts = asked, 0 })
	if err == nil {
		err = ErrHandOver
	}
	return err
}

// fail goes back. Where there is no way back the release stays, and its faults
// with it.
func (u *Updater) fail(ctx context.Context, why string) error {
	err := u.revert(why)
	if !errors.Is(err, errNoWayBack) {
		return err
	}
	why += "; " + err.Error()
	u.onTrial, u.pay.Error = false, why
	return u.persist(ctx, func(r *record) { r.settle(Committed, why) })
}

// A watch is what a trial does beside being watched.
type watch struct {
	u        *Updater
	window   time.Duration
	stop     func() // the trial
	stamped  time.Time
	lost     error    // the rescue job undid it
	rollback *Request // so did a person
}

// healthy is the sign of life that the rescue job waits for. A full disk can
// hold no sign, and no revert either.
func (w *watch) healthy(d time.Duration) {
	u := w.u
	w.answerAll()
	if now := time.Now(); now.Sub(w.stamped) >= stampEvery {
		w.stamped = now
		if err := u.change(func(r *record) { r.Stamp++ }); errors.Is(err, ErrHandOver) {
			w.lost = err
			w.stop()
		}
	}
	u.progress(status.OnTrial, d.Milliseconds(), w.window.Milliseconds(), "ms")
}

// answerAll keeps nobody waiting for the end of a trial.
func (w *watch) answerAll() {
	for _, r := range w.u.inbox.take() {
		w.answer(r)
	}
}

func (w *watch) answer(r Request) {
	switch r.Op {
	case "rollback":
		w.rollback = &r
		w.stop()
	case "unblock":
		text, err := w.u.unblock(r.Arg)
		w.u.answer(r, text, err)
	default:
		w.u.answer(r, "", errors.New(w.u.rec.ToVersion+" is on trial"))
	}
}
