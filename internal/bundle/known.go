package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// Known are the programs that may be peers right now: those of the bundle that
// is installed, and those of the one that it replaced for as long as that is
// retained, since its processes may still run. It follows an exchange of the
// bundles by itself. It may be used by several goroutines.
type Known struct {
	live, retained sealFileState // guarded by looking
	looking        sync.Mutex    // held while files are read; never by who is known
	seals          atomic.Pointer[sealPair]
	digests        digestCache // of files, whatever a seal says of them
}

// OpenKnown reads the seals of the bundle at live and in the file retainedSeal,
// which need not be there: then nothing is retained. It believes the seals if
// only root or the caller may write them.
//
// The retained file must be a copy of the live seal before the bundles are
// exchanged, not after: in between, those that run would be strangers.
func OpenKnown(live, retainedSeal string) (*Known, error) {
	k := &Known{
		live:     sealFileState{path: Layout(live).Seal()},
		retained: sealFileState{path: retainedSeal, optional: true},
	}
	if err := k.live.look(); err != nil {
		return nil, fmt.Errorf("bundle %s: %w", live, err)
	}
	k.retained.look() // what cannot be read now retains nothing, and is tried again
	k.seals.Store(&sealPair{live: k.live.seal, retained: k.retained.seal})
	return k, nil
}

// Live answers the live bundle's seal as it was last read.
func (k *Known) Live() *Seal { return k.seals.Load().live }

// Identify answers the identifier of the program whose bytes f has, as
// Seal.Identify does. A retained program is accepted while the live bundle has
// one of the same identifier whose minimum is not above the retained bundle's
// version. Only when a file is unknown are the seals looked at again; what
// cannot be read then leaves what was known.
func (k *Known) Identify(f *os.File) (string, error) {
	key, err := keyOf(f)
	if err != nil {
		return "", err
	}
	pair := k.seals.Load()
	id, err := pair.identify(f, key, &k.digests)
	if err == nil || !errors.Is(err, ErrUnknown) {
		return id, err
	}
	if now := k.look(pair); now != pair {
		return now.identify(f, key, &k.digests)
	}
	return "", err
}

// look answers seals newer than those, or those. The live one is read first:
// whoever copies it to be retained does so before the exchange, so that a live
// seal of after the exchange means a retained one of before it.
func (k *Known) look(known *sealPair) *sealPair {
	k.looking.Lock()
	defer k.looking.Unlock()
	if now := k.seals.Load(); now != known {
		return now // somebody has just looked
	}
	k.live.look()
	k.retained.look()
	if k.live.seal == known.live && k.retained.seal == known.retained {
		return known
	}
	now := &sealPair{live: k.live.seal, retained: k.retained.seal}
	k.seals.Store(now)
	return now
}

// A sealPair is what was known at one moment; it does not change.
type sealPair struct {
	live     *Seal
	retained *Seal // nil: nothing is retained
}

func (p *sealPair) identify(f *os.File, key fileKey, digests *digestCache) (string, error) {
	if !p.live.hasProgramOfSize(key.size) && !p.retained.hasProgramOfSize(key.size) {
		return "", fmt.Errorf("%s: %w: no program has %d bytes", f.Name(), ErrUnknown, key.size)
	}
	sum, err := digests.of(f, key)
	if err != nil {
		return "", fmt.Errorf("%s: %w", f.Name(), err)
	}
	if id, ok := p.live.identifierOf(sum); ok {
		return id, nil
	}
	id, ok := p.retained.identifierOf(sum)
	if !ok {
		return "", fmt.Errorf("%s: %w: its SHA-256 is %s", f.Name(), ErrUnknown, sum)
	}
	if err := p.live.bears(id, p.retained.Version); err != nil {
		return "", fmt.Errorf("%s: %w: %w", f.Name(), ErrUnknown, err)
	}
	return id, nil
}

// bears says whether a program of that identifier and version may be a peer
// beside this bundle, of which it is none.
func (s *Seal) bears(id, version string) error {
	found := false
	for _, e := range s.Entries {
		if e.Identifier != id {
			continue
		}
		found = true
		if e.Minimum != "" && Compare(version, e.Minimum) < 0 {
			return fmt.Errorf("%s %s is older than %s, the oldest that %s bears", id, version, e.Minimum, s.Version)
		}
	}
	if !found {
		return fmt.Errorf("%s is no program of %s", id, s.Version)
	}
	return nil
}

// A sealFileState is a seal's file as it was when it was last read whole.
type sealFileState struct {
	path     string
	optional bool // that it is gone says something
	key      fileKey
	seal     *Seal // nil: never read, or gone
}

// look reads the file again if it is another than it was. After an error all
// stays as it was, so that the next look tries again.
func (s *sealFileState) look() error {
	f, err := os.OpenFile(s.path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if s.optional && errors.Is(err, fs.ErrNotExist) {
		s.key, s.seal = fileKey{}, nil
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	key, err := keyOf(f)
	if err != nil || key == s.key {
		return err
	}
	seal, err := readSealFile(f)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	s.key, s.seal = key, seal
	return nil
}

// readSealFile believes a file that only root or the caller may write.
func readSealFile(f *os.File) (*Seal, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkFile(f.Name(), info, "0644"); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSeal+1))
	if err != nil {
		return nil, err
	}
	return ParseSeal(data)
}
