package update

import (
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
func (u *Updater) exchange(ctx context.Context, staged place) error {
	u.phase(status.Exchanging)
	err := u.copyRetainedSeal(u.sight.live)
	if err == nil {
		err = u.armRescue(ctx)
	}
	if err == nil {
		err = u.exchangeNow(staged)
	}
	if !errors.Is(err, ErrHandOver) {
		err = errors.Join(err, u.disarmRescue(ctx))
	}
	return err
}

// exchangeNow is the one step: intent first. What an error leaves behind is
// looked at as a start would.
func (u *Updater) exchangeNow(staged place) error {
	lock, err := u.cfg.journal().lock()
	if err != nil {
		return err
	}
	err = u.changeLocked(func(r *record) { r.State, r.Boot, r.Stamp = Exchanged, u.cfg.Boot, r.Stamp+1 })
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	err = u.cfg.swap(staged.path)
	if err == nil {
		u.changeLocked(func(r *record) { r.State = OnTrial }) // if not: Exchanged, with To in place, says the same
	}
	lock.Close()
	if err == nil {
		return ErrHandOver
	}
	if again := u.recover(); again != nil {
		return again
	}
	if u.onTrial {
		return ErrHandOver
	}
	return err
}

// armRescue lets the supervisor of the live bundle watch over its successor.
func (u *Updater) armRescue(ctx context.Context) error {
	if u.sight.live.seal == nil {
		return nil // nothing to go back to
	}
	program := filepath.Join(u.cfg.rescueDir(), "supervisor")
	if err := errors.Join(durable.RemoveAll(program), durable.RemoveAll(u.cfg.seenFile())); err != nil {
		return err
	}
	if err := linkOrCopy(bundle.Layout(u.cfg.Live).Program("supervisor"), program, 0o755); err != nil {
		return fmt.Errorf("the rescue job's program: %w", err)
	}
	return u.env.Rescue(ctx, true)
}

func (u *Updater) disarmRescue(ctx context.Context) error {
	err := u.env.Rescue(ctx, false)
	return errors.Join(err, durable.RemoveAll(filepath.Join(u.cfg.rescueDir(), "supervisor")), durable.RemoveAll(u.cfg.seenFile()))
}

// errNoWayBack is in the error of revert when nothing good is retained.
var errNoWayBack = errors.New("nothing to go back to")

// revert goes back to the retained bundle, read again before; in a trial that
// is what was exchanged away, wherever it lies.
func (u *Updater) revert(why string) error {
	u.phase(status.Reverting)
	lock, err := u.cfg.journal().lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	path := u.cfg.previous()
	if p, found := u.sight.holding(u.rec.From); found && u.onTrial {
		path = p.path
	}
	back := inspect(path, u.vouched)
	if back.err != nil {
		return fmt.Errorf("%w: %w", errNoWayBack, back.err)
	}
	return u.exchangeBackLocked(back, why, true)
}

// exchangeBackLocked puts the bundle at with into the live place: intent first.
// What lay there before is denied where it is at fault. A full disk that cannot
// hold the intent stops nothing: what lies there says enough.
func (u *Updater) exchangeBackLocked(with place, why string, fault bool) error {
	live := u.sight.live
	err := u.changeLocked(func(r *record) {
		r.To, r.ToVersion = live.hash, live.version()
		r.From, r.FromVersion = with.hash, with.version()
		r.settle(Reverted, why)
		if fault {
			r.deny(why)
		}
	})
	if errors.Is(err, ErrHandOver) {
		return err
	}
	if err := u.cfg.swap(with.path); err != nil {
		return err
	}
	return ErrHandOver
}

// swap is the one step. Whoever removed the live bundle left nothing to
// exchange.
func (c Config) swap(with string) error {
	if _, err := os.Lstat(c.Live); errors.Is(err, os.ErrNotExist) {
		return durable.Rename(with, c.Live)
	}
	err := durable.Exchange(c.Live, with)
	if errors.Is(err, errors.ErrUnsupported) {
		err = fmt.Errorf("this file system cannot exchange two directories in one step, which updates need: %w", err)
	}
	return err
}
