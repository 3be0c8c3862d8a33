package update

import (
	"errors"
	"fmt"
	"os"

	"portward/internal/durable"
)

// tidy puts what lies beside the live bundle where it belongs, and the copy of
// the retained seal beside it. It may be interrupted anywhere and done again.
func (u *Updater) tidy() error {
	var errs []error
	s := &u.sight
	if s.staging.hash != "" && s.staging.hash == u.rec.From && s.staging.hash != s.live.hash {
		errs = append(errs, u.retain())
	}
	if s.staging.hash != "" && u.rec.denies(s.staging.hash) {
		errs = append(errs, u.discard(&s.staging))
	}
	if !u.onTrial && !u.retainedIsGood() {
		errs = append(errs, u.discard(&s.previous))
	}
	return errors.Join(append(errs, u.copyRetainedSeal(s.previous))...)
}

// retainedIsGood: there is something to go back to.
func (u *Updater) retainedIsGood() bool {
	h := u.sight.previous.hash
	return h != "" && h != u.sight.live.hash && !u.rec.denies(h)
}

// retain moves the bundle that was exchanged away from staging to previous.
func (u *Updater) retain() error {
	s := &u.sight
	if err := u.discard(&s.previous); err != nil {
		return err
	}
	if err := durable.Rename(s.staging.path, s.previous.path); err != nil {
		return err
	}
	s.previous, s.staging = place{s.previous.path, s.staging.seal, s.staging.hash, nil}, place{path: s.staging.path}
	return nil
}

// errInUse is in the error for a bundle that must stay for now.
var errInUse = errors.New("an earlier bundle may still be running")

// discard removes what lies at p, unless a process runs from it.
func (u *Updater) discard(p *place) error {
	if _, err := os.Lstat(p.path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	switch pid, err := users(p.path, u.cfg.Live); {
	case err != nil:
		return fmt.Errorf("%w: %w", errInUse, err)
	case pid != "":
		return fmt.Errorf("%w: process %s is", errInUse, pid)
	}
	*p = place{path: p.path}
	return durable.RemoveAll(p.path)
}

// copyRetainedSeal tells everybody which programs may still run besides those
// of the live bundle.
func (u *Updater) copyRetainedSeal(p place) error {
	if p.seal == nil {
		return durable.RemoveAll(u.cfg.RetainedSeal)
	}
	data, err := p.seal.Bytes()
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(u.cfg.RetainedSeal); err == nil && string(old) == string(data) {
		return nil
	}
	return durable.Write(u.cfg.RetainedSeal, data, 0o644)
}
