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
// gives no sign of life, and a revert that was not finished; the supervisor
// must be started anew then. It needs Live, Dir and Boot of the configuration.
func Rescue(cfg Config) (reverted bool, err error) {
	err = cfg.journal().locked((&Updater{cfg: cfg}).rescueLocked)
	if errors.Is(err, ErrHandOver) {
		return true, nil
	}
	return false, err
}

func (u *Updater) rescueLocked() error {
	u.rec = u.cfg.journal().read()
	why := u.rec.Reason
	switch u.rec.State {
	case Reverted:
	case Exchanged, OnTrial:
		if late, err := u.cfg.late(u.rec.Stamp); err != nil || !late {
			return err
		}
		why = "hang: its supervisor gave no sign of life"
	default:
		return nil
	}
	u.sight = sight{inspect(u.cfg.Live, nil), inspect(u.cfg.beside(), nil)}
	if live := u.sight.live.hash; live == u.rec.From || live != "" && live != u.rec.To {
		return nil // it did not happen, or is undone
	}
	if !u.sight.holds(u.rec.From) {
		return errNoWayBack
	}
	return u.exchangeBackLocked(why, true)
}

// late says whether this stamp was seen too often.
func (c Config) late(stamp uint64) (bool, error) {
	line := fmt.Sprintf("stamp %d, boot %q\n", stamp, c.Boot)
	data, _ := os.ReadFile(c.seenFile())
	looks := min(strings.Count(string(data), line)+1, lastLook)
	return looks == lastLook, durable.Write(c.seenFile(), []byte(strings.Repeat(line, looks)), 0o600)
}
