package update

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"portward/internal/bundle"
	"portward/internal/durable"
)

// lastLook is the look at which an unchanged stamp is taken for a dead
// supervisor: the first sees it, three more see it again.
const lastLook = 4

// A seen is what the rescue job remembers from one look to the next. No clock
// is in it: a machine that slept lost no looks.
type seen struct {
	Stamp uint64 `json:"stamp"`
	Boot  string `json:"boot"`
	Looks int    `json:"looks"` // in a row that saw this stamp
}

func (c Config) seenFile() string { return filepath.Join(c.rescueDir(), "seen") }

// Rescue is one look of the rescue job, which is the program of the retained
// bundle and needs nothing of the live one. It undoes a trial whose supervisor
// gives no sign of life, and a revert that was not finished; the supervisor
// must be started anew then. It needs Live, Dir and Boot of the configuration.
func Rescue(cfg Config) (reverted bool, err error) {
	lock, err := cfg.journal().lock()
	if err != nil {
		return false, err
	}
	defer lock.Close()
	u := &Updater{cfg: cfg, rec: cfg.journal().read()}
	why := u.rec.Reason
	switch u.rec.State {
	case Reverted:
	case Exchanged, OnTrial:
		if late, err := cfg.late(u.rec.Stamp); err != nil || !late {
			return false, err
		}
		why = "hang: its supervisor gave no sign of life"
	default:
		return false, nil
	}
	u.sight = cfg.look(func(string, *bundle.Seal) error { return nil })
	back, found := u.sight.holding(u.rec.From)
	if live := u.sight.live.hash; live == u.rec.From || live != "" && live != u.rec.To {
		return false, nil // it did not happen, or is undone
	}
	if !found {
		return false, errNoWayBack
	}
	err = u.exchangeBackLocked(back, why, true)
	return errors.Is(err, ErrHandOver), ignoreHandOver(err)
}

func ignoreHandOver(err error) error {
	if errors.Is(err, ErrHandOver) {
		return nil
	}
	return err
}

// late says whether this stamp was seen too often.
func (c Config) late(stamp uint64) (bool, error) {
	var s seen
	if data, err := os.ReadFile(c.seenFile()); err != nil || json.Unmarshal(data, &s) != nil || s.Stamp != stamp || s.Boot != c.Boot {
		s = seen{Stamp: stamp, Boot: c.Boot}
	}
	s.Looks++
	data, err := json.Marshal(s)
	if err != nil {
		return false, err
	}
	return s.Looks >= lastLook, durable.Write(c.seenFile(), data, 0o600)
}
