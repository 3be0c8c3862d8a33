package update

import (
	"cmp"
	"errors"
	"path/filepath"
	"time"

	"portward/internal/durable"
	"portward/internal/update/pipe"
)

// An action is what recovery does.
type action string

const (
	rest   action = "rest"   // what was in flight is forgotten: no exchange happened, or nothing whole lies there
	try    action = "try"    // the live bundle is on trial
	undo   action = "undo"   // the trial is over: exchange
	undone action = "undone" // it was exchanged back already
	keep   action = "keep"   // it should be undone, but there is nothing to go back to
	mend   action = "mend"   // the live bundle is damaged, what lies beside it is not: exchange
)

// decide answers what a start has to do. It believes what lies there; the
// record says only what was meant.
func decide(r record, s sight, attempts int) action {
	back := s.holds(r.From)
	live, beside := s.live.hash, s.beside.hash
	switch {
	case live == "" && (back || beside != "" && beside != r.To && r.denial(beside) == ""):
		return mend
	case live == "":
		return rest
	case live == r.To && r.State == Reverted && back:
		return undo
	case live == r.To && r.State == Reverted:
		return keep
	case live == r.To && r.State.inFlight() && back && (r.Attempts >= attempts || r.Faults >= maxFaults):
		return undo
	case live == r.To && r.State.inFlight():
		return try
	case live == r.From && r.State == OnTrial:
		return undone
	}
	return rest
}

// recover brings what lies there and the journal together. It answers
// ErrHandOver when another bundle lies at the live path now.
func (u *Updater) recover() error { return u.cfg.journal().locked(u.recoverLocked) }

// recoverLocked lets no journal that cannot be written stop a start: what lies
// there is judged again next time. What cannot be read now stops it.
func (u *Updater) recoverLocked() (err error) {
	for _, dir := range []string{u.cfg.Dir, u.cfg.rescueDir(), filepath.Dir(u.cfg.RetainedSeal)} {
		durable.Sweep(dir) // under the lock, for the rescue job writes there too
	}
	if u.rec, err = u.cfg.journal().read(); err != nil {
		return err
	}
	u.sight = sight{inspect(u.cfg.Live, u.vouched), inspect(u.cfg.beside(), u.vouched)}
	if live, beside := u.sight.live, u.sight.beside; passing(live.err) || passing(beside.err) {
		return errors.Join(live.err, beside.err) // nothing is decided about what may be good
	}
	meant := u.rec
	if meant.Boot != u.cfg.Boot { // which took the latest start with it
		meant.uncount()
	}
	act := decide(meant, u.sight, u.cfg.Attempts)
	u.onTrial = act == try
	live, was := u.sight.live, u.rec.State
	switch {
	case act == mend:
		b := nobodys
		if was.inFlight() && u.sight.holds(u.rec.From) {
			b = its // on trial, a release answers for what became of it
		}
		return u.exchangeBackLocked("the installed bundle was damaged: "+live.err.Error(), b)
	case act == undo && was == Reverted:
		return u.exchangeBackLocked(u.rec.Reason, nobodys) // it was said with the intent
	case act == undo && meant.Attempts < u.cfg.Attempts:
		return u.exchangeBackLocked("the machine: "+u.rec.Reason, machines)
	case act == undo:
		return u.exchangeBackLocked("crash: its supervisor was started too often without passing", its)
	}
	err = u.changeLocked(func(r *record) {
		switch {
		case act == try:
			r.countStart(meant.Attempts+1, u.cfg.Boot)
		case act == undone:
			r.deny("it was undone", its)
			r.settle(Reverted, "it was undone")
		case act == keep:
			r.settle(Committed, r.Reason+"; there was nothing to go back to")
		case was.inFlight():
			r.settle(Idle, "")
		}
		r.Installed = cmp.Or(live.hash, r.Installed)
	})
	if err != nil && !errors.Is(err, errUnread) {
		u.pay.Error, err = err.Error(), nil
	}
	return err
}

// countStart comes before anything that the new code does. The start after the
// full stop, or after a reboot, is the cold one.
func (r *record) countStart(attempts int, boot string) {
	r.Stamp++
	if r.Cold == asked || r.Cold == warm && r.Boot != boot {
		r.Cold = done
	}
	r.State, r.Attempts, r.Boot, r.Since = OnTrial, attempts, boot, time.Time{} // an exchange disturbed every session
}

// uncount: the latest start ended for no fault of the release.
func (r *record) uncount() { r.Attempts = max(0, r.Attempts-1) }

// maxFaults is how many starts the machine may end until a release goes back, to
// be tried again later: meanwhile it serves nobody well.
const maxFaults = 5

// stumble: the machine ended the latest start.
func (r *record) stumble(why error) {
	r.uncount()
	r.Faults, r.Reason = r.Faults+1, pipe.Clip(why.Error())
}

// Stumble says that this process ends for the machine's fault, before Run: what
// is on trial does not answer for it.
func (u *Updater) Stumble(why error) {
	u.change(func(r *record) {
		if r.State == OnTrial {
			r.stumble(why)
		}
	})
}
