package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/status"
)

// exchange prepares the way back, and goes. What stays behind without an
// exchange is taken away again.
func (u *Updater) exchange(ctx context.Context) error {
	u.phase(status.Exchanging)
	err := u.armRescue(ctx)
	if err == nil {
		err = u.exchangeNow()
	}
	if !errors.Is(err, ErrHandOver) {
		err = errors.Join(err, u.disarmRescue(ctx))
	}
	return err
}

// exchangeNow is the one step: intent first. What an error leaves behind is
// looked at as a start would.
func (u *Updater) exchangeNow() error {
	err := u.cfg.journal().locked(func() error {
		err := u.changeLocked(func(r *record) { r.State, r.Boot, r.Stamp = Exchanged, u.cfg.Boot, r.Stamp+1 })
		if err == nil {
			err = u.cfg.swap()
		}
		if err != nil {
			return err
		}
		u.changeLocked(func(r *record) { r.State = OnTrial }) // if not: Exchanged, with To in place, says the same
		return ErrHandOver
	})
	if errors.Is(err, ErrHandOver) {
		return err
	}
	if again := u.recover(); again != nil || u.onTrial {
		return errors.Join(ErrHandOver, again) // who cannot tell what lies there starts anew too
	}
	return err
}

// armRescue lets the supervisor of the live bundle watch over its successor, and
// tells everybody which programs may still run besides those of that one.
func (u *Updater) armRescue(ctx context.Context) error {
	if u.sight.live.seal == nil {
		return nil // nothing to go back to
	}
	data, err := u.sight.live.seal.Bytes()
	if err == nil {
		err = durable.Write(u.cfg.RetainedSeal, data, 0o644)
	}
	if err = errors.Join(err, durable.RemoveAll(u.cfg.seenFile())); err != nil {
		return err
	}
	if err := durable.Copy(bundle.Layout(u.cfg.Live).Program("supervisor"), u.cfg.rescueProgram(), 0o755); err != nil {
		return fmt.Errorf("the rescue job's program: %w", err)
	}
	return u.env.Rescue(ctx, true)
}

func (u *Updater) disarmRescue(ctx context.Context) error {
	return errors.Join(u.env.Rescue(ctx, false), durable.RemoveAll(u.cfg.rescueProgram()), durable.RemoveAll(u.cfg.seenFile()))
}

// errNoWayBack is in the error of revert when nothing good is retained.
var errNoWayBack = errors.New("nothing to go back to")

// revert goes back to the retained bundle, read again before.
func (u *Updater) revert(why string, b blame) error {
	u.phase(status.Reverting)
	return u.cfg.journal().locked(func() error {
		if u.sight.beside = inspect(u.cfg.beside(), u.vouched); u.sight.beside.unreadable() {
			return u.sight.beside.err // the next start tries again
		}
		if !u.retained() {
			return errNoWayBack
		}
		return u.exchangeBackLocked(why, b)
	})
}

// exchangeBackLocked puts the other bundle into the live place: intent first.
// What lay there before is denied where it is to blame; if it is damaged, the
// journal says what it was. A full disk that cannot hold the intent stops
// nothing: what lies there says enough.
func (u *Updater) exchangeBackLocked(why string, b blame) error {
	live := u.sight.live
	err := u.changeLocked(func(r *record) {
		to, version := r.To, r.ToVersion
		r.begin(Reverted, why, u.sight.beside, live, cmp.Or(u.asked, r.Asked))
		if b != nobodys && live.seal == nil {
			r.To, r.ToVersion = to, version
		}
		r.deny(why, b)
	})
	if errors.Is(err, ErrHandOver) || errors.Is(err, errUnread) { // it may be undone already
		return err
	}
	return cmp.Or(u.cfg.swap(), ErrHandOver)
}

// swap is the one step. Whoever removed the live bundle left nothing to
// exchange.
func (c Config) swap() error {
	if _, err := os.Lstat(c.Live); errors.Is(err, os.ErrNotExist) {
		return durable.Rename(c.beside(), c.Live)
	}
	err := durable.Exchange(c.Live, c.beside())
	if errors.Is(err, errors.ErrUnsupported) {
		err = fmt.Errorf("this file system cannot exchange two directories in one step, which updates need: %w", err)
	}
	return err
}

func (c Config) rescueProgram() string { return filepath.Join(c.rescueDir(), "supervisor") }
