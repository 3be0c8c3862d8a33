package update

import (
	"path/filepath"

	"portward/internal/bundle"
)

// The places below Config.Dir.
func (c Config) journal() journal  { return journal(c.Dir) }
func (c Config) staging() string   { return filepath.Join(c.Dir, "staging", bundle.Name) }
func (c Config) previous() string  { return filepath.Join(c.Dir, "previous", bundle.Name) }
func (c Config) rescueDir() string { return filepath.Join(c.Dir, "rescue") }

// A place is where a bundle may lie, and what was found there.
type place struct {
	path string
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

// A sight is what lies there, read byte by byte.
type sight struct{ live, previous, staging place }

// vouching says whether somebody answers for a seal whose bundle is at path.
type vouching func(path string, seal *bundle.Seal) error

func (c Config) look(vouched vouching) sight {
	return sight{inspect(c.Live, vouched), inspect(c.previous(), vouched), inspect(c.staging(), vouched)}
}

func inspect(path string, vouched vouching) place {
	seal, err := bundle.Verify(path)
	if err == nil {
		err = vouched(path, seal)
	}
	if err != nil {
		return place{path: path, err: err}
	}
	return place{path: path, seal: seal, hash: seal.Hash()}
}

// holding answers where, beside the live bundle, the one with this hash lies.
func (s sight) holding(hash string) (place, bool) {
	for _, p := range []place{s.previous, s.staging} {
		if hash != "" && p.hash == hash {
			return p, true
		}
	}
	return place{}, false
}

// An action is what recovery does.
type action int

const (
	rest   action = iota // nothing is in flight
	forget               // the exchange did not happen
	try                  // the live bundle is on trial
	undo                 // the trial is over: exchange with the place named
	undone               // it was exchanged back already
	keep                 // it should be undone, but there is nothing to go back to
	mend                 // the live bundle is damaged: exchange with the place named
	beyond               // it is damaged, and nothing good lies beside it
)

func (a action) String() string {
	return [...]string{"rest", "forget", "try", "undo", "undone", "keep", "mend", "beyond"}[a]
}

// decide answers what a start has to do, and with which place. It believes what
// lies there; the record says only what was meant.
func decide(r record, s sight, attempts int) (action, place) {
	back, found := s.holding(r.From)
	live := s.live.hash
	switch {
	case live == "" && found:
		return mend, back
	case live == "" && s.previous.hash != "" && !r.denies(s.previous.hash):
		return mend, s.previous
	case live == "":
		return beyond, place{}
	case live == r.To && r.State == Reverted && found:
		return undo, back
	case live == r.To && r.State == Reverted:
		return keep, place{}
	case live == r.To && r.State.inFlight() && found && r.Attempts >= attempts:
		return undo, back
	case live == r.To && r.State.inFlight():
		return try, place{}
	case r.State == OnTrial && live == r.From:
		return undone, place{}
	case r.State.inFlight():
		return forget, place{}
	}
	return rest, place{}
}

func (r record) denies(hash string) bool {
	_, denied := deniedAs(r.Denied, hash)
	return denied
}
