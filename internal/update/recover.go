package update

import (
	"os"
	"path/filepath"

	"portward/internal/bundle"
	"portward/internal/durable"
)

// recover brings what lies there and the journal together. It answers
// ErrHandOver when another bundle lies at the live path now. A journal that
// cannot be written stops no start: what lies there is judged again next time.
func (u *Updater) recover() error {
	lock, err := u.cfg.journal().lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	for _, dir := range []string{u.cfg.Dir, u.cfg.rescueDir(), filepath.Dir(u.cfg.RetainedSeal)} {
		durable.Sweep(dir) // under the lock, for the rescue job writes there too
	}
	u.rec = u.cfg.journal().read()
	u.asked = u.rec.Asked
	u.sight = u.cfg.look(u.vouched)
	u.onTrial = false
	act, with := decide(u.rec, u.sight, u.cfg.Attempts)
	switch act {
	case mend:
		return u.exchangeBackLocked(with, "the installed bundle was damaged: "+u.sight.live.err.Error(), false)
	case undo:
		why := u.rec.Reason
		if u.rec.State != Reverted {
			why = "crash: its supervisor was started too often without passing"
		}
		return u.exchangeBackLocked(with, why, true)
	case try:
		u.onTrial = true
		err = u.changeLocked(u.countStart)
	case undone:
		err = u.changeLocked(func(r *record) { r.deny("it was undone"); r.settle(Reverted, "it was undone") })
	case keep:
		err = u.changeLocked(func(r *record) { r.settle(Committed, r.Reason+"; there was nothing to go back to") })
	case forget, beyond:
		if u.rec.State.inFlight() {
			err = u.changeLocked(func(r *record) { r.settle(Idle, "") })
		}
	}
	if h := u.sight.live.hash; err == nil && h != "" && h != u.rec.Installed {
		err = u.changeLocked(func(r *record) { r.Installed = h })
	}
	if err != nil {
		u.pay.Error = err.Error()
	}
	return nil
}

// countStart comes before anything that the new code does. The start after the
// full stop, or after a reboot, is the cold one.
func (u *Updater) countStart(r *record) {
	r.State = OnTrial
	r.Attempts++
	r.Stamp++
	if r.Cold == asked || r.Cold == warm && r.Boot != u.cfg.Boot {
		r.Cold = done
	}
}

// vouched believes what it once believed: a lost store of metadata must not
// condemn what is installed.
func (u *Updater) vouched(path string, seal *bundle.Seal) error {
	h := seal.Hash()
	if h == u.rec.Installed || h == u.rec.From || h == u.rec.To || !seal.Has("netchild") {
		return nil // who installed a seed vouches for it: it can do nothing but update
	}
	return u.vouchedAnew(path, seal)
}

func (u *Updater) vouchedAnew(path string, seal *bundle.Seal) error {
	targets, err := os.ReadFile(filepath.Join(bundle.Layout(path).Tuf(), "targets.json"))
	if err != nil {
		return err
	}
	data, err := seal.Bytes()
	if err != nil {
		return err
	}
	return u.trust.Vouches(targets, data)
}

// changeLocked writes an edited record; the caller holds the lock. Somebody
// else's writing means that the rescue job undid the trial.
func (u *Updater) changeLocked(edit func(*record)) error {
	r := u.cfg.journal().read()
	if r.Gen != u.rec.Gen {
		return ErrHandOver
	}
	r.Asked = u.asked
	edit(&r)
	r, err := u.cfg.journal().write(r)
	if err == nil {
		u.rec = r
	}
	return err
}

func (u *Updater) change(edit func(*record)) error {
	lock, err := u.cfg.journal().lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	return u.changeLocked(edit)
}
