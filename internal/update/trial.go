package update

import (
	"cmp"
	"context"
	"errors"
	"time"

	"portward/internal/status"
)

const (
	firstTrial = 10 * time.Second // the longest first look
	stampEvery = 5 * time.Second  // between two signs of life in the journal
)

// trial lets the live bundle prove itself: a short look after everything was
// restarted into it, a cold start, and the whole window. Nil means that it
// stays, or that it was interrupted and is still on trial. Whatever happens to
// this process, the next one begins the same half again, and its starts are
// counted.
func (u *Updater) trial(ctx context.Context) error {
	if u.rec.From != "" {
		if err := u.env.Rescue(ctx, true); err != nil { // a reboot may have lost it
			u.pay.Error = err.Error()
		}
	}
	first, window := u.rec.Cold == warm, u.cfg.TrialWindow
	if first {
		window = min(window/10, firstTrial)
	}
	watching, stop := u.inbox.interruptible(ctx)
	defer stop()
	var over error // another bundle has the place
	err := u.env.Trial(watching, TrialStep{First: first, Window: window, Healthy: func(d time.Duration) {
		if over == nil {
			over = u.attend(ctx)
		}
		if over != nil {
			stop()
			return
		}
		u.progress(status.OnTrial, d.Milliseconds(), window.Milliseconds(), "ms")
	}})
	if over == nil {
		over = u.wake(ctx) // the rollback that ended it, maybe
	}
	var failure *Failure
	switch {
	case over != nil:
		return over
	case errors.As(err, &failure):
		return u.fail(ctx, failure)
	case watching.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case first:
		return u.coldStart(ctx)
	}
	return u.commit(ctx, "")
}

// attend keeps nobody waiting for the end of a trial, and gives the sign of
// life that the rescue job waits for. A full disk can hold no sign, and no
// revert either.
func (u *Updater) attend(ctx context.Context) error {
	if err := u.wake(ctx); err != nil {
		return err
	}
	if time.Since(u.stamped) < stampEvery {
		return nil
	}
	u.stamped = time.Now()
	if err := u.change(func(r *record) { r.Stamp++ }); errors.Is(err, ErrHandOver) {
		return err
	}
	return nil
}

// coldStart ends everything, this process last: what is started on demand then
// is the release as the next morning will see it.
func (u *Updater) coldStart(ctx context.Context) error {
	if err := u.env.Stop(ctx); err != nil {
		return err
	}
	return cmp.Or(u.persist(ctx, func(r *record) { r.Cold, r.Attempts, r.Asked = asked, 0, "" }), ErrHandOver)
}

// fail goes back. Where there is no way back the release stays, and its faults
// with it.
func (u *Updater) fail(ctx context.Context, f *Failure) error {
	b := its
	if f.Doubt {
		b = doubtful
	}
	err := u.revert(f.Error(), b)
	if !errors.Is(err, errNoWayBack) {
		return err
	}
	u.pay.Error = f.Error() + "; " + err.Error()
	return u.commit(ctx, u.pay.Error)
}

func (u *Updater) commit(ctx context.Context, why string) error {
	err := u.persist(ctx, func(r *record) { r.settle(Committed, why); r.forgive(r.To) })
	u.onTrial = err != nil
	return err
}
