package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"portward/internal/bundle"
	"portward/internal/durable"
)

// The places below Config.Dir. Beside the live bundle lies one other: first the
// release that is staged, after the exchange the bundle that was replaced.
func (c Config) journal() journal  { return journal(c.Dir) }
func (c Config) beside() string    { return filepath.Join(c.Dir, "beside", bundle.Name) }
func (c Config) rescueDir() string { return filepath.Join(c.Dir, "rescue") }

// A place is what was found where a bundle may lie.
type place struct {
	seal *bundle.Seal // nil: nothing, or nothing whole that somebody vouches for
	hash string       // of seal
	err  error        // why seal is nil
}

func (p place) version() string {
	if p.seal == nil {
		return ""
	}
	return p.seal.Version
}

// inspect reads what lies at path, byte by byte. vouched, if not nil, says
// whether somebody answers for the seal. One bad reading condemns nothing.
func inspect(path string, vouched func(path string, seal *bundle.Seal) error) (p place) {
	for range 2 {
		var seal *bundle.Seal
		if seal, p.err = bundle.Verify(path); p.err == nil && vouched != nil {
			p.err = vouched(path, seal)
		}
		if p.err == nil {
			return place{seal: seal, hash: seal.Hash()}
		}
		if !p.unreadable() {
			break
		}
	}
	return p
}

// unreadable: the machine may be at fault, not what lies there.
func (p place) unreadable() bool { return passing(p.err) || errors.Is(p.err, syscall.EIO) }

// passing: the machine is short of something now. EIO is not that: a disk that
// cannot be read may never be again, and must not stop every start.
func passing(err error) bool {
	return errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
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

// A sight is what lies there.
type sight struct{ live, beside place }

// retained: what lies beside the live bundle is good to go back to.
func (u *Updater) retained() bool {
	h := u.sight.beside.hash
	return u.sight.holds(u.rec.From) && h != u.sight.live.hash && (u.onTrial || u.rec.denial(h) == "")
}

// holds says whether the bundle with this hash lies beside the live one.
func (s sight) holds(hash string) bool { return hash != "" && hash == s.beside.hash }

// tidy removes what lies beside the live bundle for nothing.
func (u *Updater) tidy() error {
	if u.onTrial || u.retained() || u.rec.staging() || u.sight.beside.unreadable() {
		return nil
	}
	return u.discard(false)
}

// errInUse is in the error for a bundle that a process may run from.
var errInUse = errors.New("an earlier bundle may still be running")

// discard removes what lies beside, and the copy of its seal, unless a process
// runs from it and may. It may be interrupted anywhere and done again.
func (u *Updater) discard(anyway bool) error {
	if _, err := os.Lstat(u.cfg.beside()); !anyway && !errors.Is(err, os.ErrNotExist) {
		switch pid, err := users(u.cfg.beside(), u.cfg.Live); {
		case err != nil:
			return fmt.Errorf("%w: %w", errInUse, err)
		case pid != "":
			return fmt.Errorf("%w: process %s is", errInUse, pid)
		}
	}
	u.sight.beside = place{}
	return errors.Join(durable.RemoveAll(u.cfg.RetainedSeal), durable.RemoveAll(u.cfg.beside()))
}
