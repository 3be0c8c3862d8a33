package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"portward/internal/durable"
)

// What is borne before somebody is taken for dead, in looks: half a minute lies
// between two. The first sees something, the others see it again.
const (
	lastLook = 4  // a stamp that does not move, a good supervisor that takes no note of a revert
	busyLook = 20 // a journal that somebody holds: no machine reads two bundles for so long
)

// seenFile is what the rescue job remembers: a line for each look in a row that
// saw the same, in one boot. No clock is in it: a machine that slept lost no
// looks.
func (c Config) seenFile() string { return filepath.Join(c.rescueDir(), "seen") }

// Rescue is one look of the rescue job, which is the program of the retained
// bundle and needs nothing of the live one. It undoes a trial whose supervisor
// gives no sign of life, and a revert that was not finished. It waits for nobody:
// who holds the journal is at work, for busyLook looks. kick says that the
// supervisor must be ended and started anew: when it was undone, when the good one
// took no note of that for lastLook looks, and when it holds the journal for ever.
// A supervisor that has begun and recovers holds it, so none is ended earlier.
// Rescue needs Live, Dir and Boot of the configuration.
func Rescue(cfg Config) (kick bool, err error) {
	lock, err := durable.TryLock(cfg.journal().lock())
	if errors.Is(err, durable.ErrLocked) {
		return cfg.kick("a journal that is held", busyLook)
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	kick, err = (&Updater{cfg: cfg}).rescueLocked()
	if errors.Is(err, ErrHandOver) {
		return true, nil
	}
	return kick, err
}

func (u *Updater) rescueLocked() (kick bool, err error) {
	if u.rec, err = u.cfg.journal().read(); err != nil {
		return false, err
	}
	saw, why, b := fmt.Sprintf("%s, stamp %d", u.rec.State, u.rec.Stamp), u.rec.Reason, nobodys
	switch u.rec.State {
	case Reverted: // who is to blame was said with the intent
	case Exchanged, OnTrial:
		if late, err := u.cfg.late(saw, lastLook); err != nil || !late {
			return false, err
		}
		why, b = "hang: its supervisor gave no sign of life", its
	default:
		return false, nil
	}
	u.sight = sight{inspect(u.cfg.Live, nil), inspect(u.cfg.beside(), nil)}
	switch live := u.sight.live.hash; {
	case live == u.rec.From && u.rec.State == Reverted && u.rec.Cold != done:
		return u.cfg.kick(saw, lastLook)
	case live == u.rec.From || live != "" && live != u.rec.To:
		return false, nil // it did not happen, or is undone
	}
	if !u.sight.holds(u.rec.From) {
		return false, errNoWayBack
	}
	return false, u.exchangeBackLocked(why, b)
}

// late says whether this look is that many in a row that saw the same.
func (c Config) late(saw string, last int) (bool, error) {
	line := fmt.Sprintf("%s, boot %q\n", saw, c.Boot)
	data, _ := os.ReadFile(c.seenFile())
	looks := min(strings.Count(string(data), line)+1, last)
	return looks == last, durable.Write(c.seenFile(), []byte(strings.Repeat(line, looks)), 0o600)
}

// kick is late for somebody who is ended then: the next one has all the looks again.
func (c Config) kick(saw string, last int) (bool, error) {
	late, err := c.late(saw, last)
	if late {
		err = errors.Join(err, durable.RemoveAll(c.seenFile()))
	}
	return late, err
}
