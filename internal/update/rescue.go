package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"portward/internal/durable"
)

// lastLook is the look at which an unchanged stamp is taken for a dead
// supervisor: the first sees it, three more see it again.
const lastLook = 4

// seenFile is what the rescue job remembers: a line for each look in a row that
// saw one stamp, in one boot. No clock is in it: a machine that slept lost no
// looks.
func (c Config) seenFile() string { return filepath.Join(c.rescueDir(), "seen") }

// Rescue is one look of the rescue job, which is the program of the retained
// bundle and needs nothing of the live one. It undoes a trial whose supervisor
// gives no sign of life, and a revert that was not finished. The supervisor
// must be started anew then, and once more whenever none has taken note of the
// revert for two looks: reverted says so again. Rescue needs Live, Dir and Boot
// of the configuration.
func Rescue(cfg Config) (reverted bool, err error) {
	err = cfg.journal().locked((&Updater{cfg: cfg}).rescueLocked)
	if errors.Is(err, ErrHandOver) {
		return true, nil
	}
	return false, err
}

func (u *Updater) rescueLocked() (err error) {
	if u.rec, err = u.cfg.journal().read(); err != nil {
		return err
	}
	why := u.rec.Reason
	switch u.rec.State {
	case Reverted:
	case Exchanged, OnTrial:
		if late, err := u.late(lastLook); err != nil || !late {
			return err
		}
		why = "hang: its supervisor gave no sign of life"
	default:
		return nil
	}
	u.sight = sight{inspect(u.cfg.Live, nil), inspect(u.cfg.beside(), nil)}
	switch live := u.sight.live.hash; {
	case live == u.rec.From && u.rec.State == Reverted && u.rec.Cold != done:
		if late, err := u.late(2); err != nil || !late {
			return err // the one that was started then may only be slow
		}
		return errors.Join(ErrHandOver, durable.RemoveAll(u.cfg.seenFile()))
	case live == u.rec.From || live != "" && live != u.rec.To:
		return nil // it did not happen, or is undone
	}
	if !u.sight.holds(u.rec.From) {
		return errNoWayBack
	}
	return u.exchangeBackLocked(why, true)
}

// late says whether this look is that many in a row that saw the same.
func (u *Updater) late(last int) (bool, error) {
	line := fmt.Sprintf("%s, stamp %d, boot %q\n", u.rec.State, u.rec.Stamp, u.cfg.Boot)
	data, _ := os.ReadFile(u.cfg.seenFile())
	looks := min(strings.Count(string(data), line)+1, last)
	return looks == last, durable.Write(u.cfg.seenFile(), []byte(strings.Repeat(line, looks)), 0o600)
}
