package tufrepo

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"portward/internal/update/pipe"
)

// A Get gets a small file of the repository by its name from the top, at most
// max bytes. It answers pipe.ErrSame when the file still has the SHA-256 have,
// which is empty when nothing is held, and pipe.ErrNotFound when there is none.
type Get = func(name string, max int64, have string) ([]byte, error)

const (
	maxRoots  = 256            // new roots taken in one walk
	walkEvery = 24 * time.Hour // a new root shows only in a walk
	lasting   = 24 * time.Hour // a mirror that lags longer than this is told to people
)

// Refresh asks the repository once: is timestamp.json still the one held here?
// If so that was all; otherwise, at least daily, and whenever something is
// missing or expired, it is a Walk. changed says that Target, Vouch or an
// expiry may answer otherwise than before, which it may beside an error too.
func (t *Trust) Refresh(now time.Time, get func(name string, max int64, have string) ([]byte, error)) (changed bool, err error) {
	if t.readAgain() {
		defer func() { changed = true }()
	}
	since := now.Sub(t.floor.Walked)
	if since < 0 || since >= walkEvery || !t.whole() || t.Expired(now) != nil {
		return t.Walk(now, get)
	}
	raw, err := get(inRepo(timestampFile), maxTimestamp, hashOf(t.timestamp.raw))
	if errors.Is(err, pipe.ErrSame) {
		t.served(now, nil)
		t.raise(now)
		return false, t.store.flush()
	}
	if err != nil {
		return false, err
	}
	return t.walk(now, get, raw)
}

// Walk is the client workflow of the TUF specification (5.3 to 5.6): new roots,
// timestamp, snapshot, targets, each taken only when all rules allow it. What
// was taken before an error stays taken, and is on the disk.
func (t *Trust) Walk(now time.Time, get Get) (changed bool, err error) { return t.walk(now, get, nil) }

// walk has the timestamp in hand when seen is not nil.
func (t *Trust) walk(now time.Time, get Get, seen []byte) (changed bool, err error) {
	w := &walk{Trust: t, now: now, get: get, seen: seen}
	err = w.all()
	if w.fresh {
		t.store.put(timestampFile, t.timestamp.raw) // behind what it lists
	}
	if err == nil {
		t.floor.Walked = now.UTC().Round(0)
		t.putFloor()
	}
	t.served(now, err)
	t.raise(now)
	return w.changed, errors.Join(err, t.store.flush())
}

// served keeps since when the repository served nothing but old metadata. No
// answer at all says nothing about that.
func (t *Trust) served(now time.Time, err error) {
	var e *Error
	stale := errors.As(err, &e) && e.Kind == Stale
	switch {
	case err == nil && !t.floor.Stale.IsZero():
		t.floor.Stale = time.Time{}
	case stale && (t.floor.Stale.IsZero() || now.Before(t.floor.Stale)):
		t.floor.Stale = now.UTC().Round(0)
	default:
		return
	}
	t.putFloor()
}

// A walk is one run of the workflow. rules is go-tuf's memory of it: it is
// filled from what is held, and then asked about each file that comes.
type walk struct {
	*Trust
	now     time.Time
	get     Get
	seen    []byte
	rules   *trustedmetadata.TrustedMetadata
	fresh   bool // the timestamp came in this walk
	changed bool
}

func (w *walk) all() (err error) {
	if w.rules, err = trustedmetadata.New(w.root().raw); err != nil {
		return err
	}
	before := w.root().md
	err = w.newRoots()
	w.forget(before)
	if err != nil {
		return err
	}
	w.rules.RefTime = w.refTime(w.now)
	for _, step := range []func() error{w.newTimestamp, w.newSnapshot, w.newTargets} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// fetch gets a file that was not there before, or is another one now.
func (w *walk) fetch(file string, max int64, have []byte) ([]byte, error) {
	hash := ""
	if have != nil {
		hash = hashOf(have)
	}
	raw, err := w.get(inRepo(file), max, hash)
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > max {
		return nil, &Error{Untrusted, inRepo(file), fmt.Errorf("more than %d bytes", max)}
	}
	return raw, nil
}

// newRoots is 5.3: each root signed by the one before and by itself. Expiry
// counts only for the last.
func (w *walk) newRoots() error {
	for range maxRoots {
		file := versioned(w.root().md.Signed.Version+1, metadata.ROOT)
		raw, err := w.fetch(file, maxRoot, nil)
		if errors.Is(err, pipe.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		next, err := parse[metadata.RootType](raw)
		if err == nil {
			_, err = w.rules.UpdateRoot(raw)
		}
		if err != nil {
			return refuse(inRepo(file), err)
		}
		w.roots = append(w.roots, held[metadata.RootType]{raw, next})
		w.store.put(file, raw)
		w.changed, w.seen = true, nil // the timestamp in hand may be from before
	}
	return nil
}

// forget drops what the new root no longer stands behind. With the online
// roles' keys go their versions and the floor, too: a thief may have driven
// them up (5.3.11).
func (t *Trust) forget(before *metadata.Metadata[metadata.RootType]) {
	after := t.root().md
	online := sameKeys(before, after, metadata.TIMESTAMP) && sameKeys(before, after, metadata.SNAPSHOT)
	if !online {
		t.timestamp, t.snapshot = held[metadata.TimestampType]{}, held[metadata.SnapshotType]{}
		t.store.put(timestampFile, nil)
		t.store.put("snapshot.json", nil)
		t.floor.Issued = time.Time{}
	}
	if !online || !sameKeys(before, after, metadata.TARGETS) {
		t.floor.Targets = anyVersion
		t.putFloor()
	}
	if t.targets.md != nil && after.VerifyDelegate(metadata.TARGETS, t.targets.md) != nil {
		t.targets = held[metadata.TargetsType]{}
		t.store.put("targets.json", nil)
	}
}

func sameKeys(a, b *metadata.Metadata[metadata.RootType], role string) bool {
	x, y := a.Signed.Roles[role], b.Signed.Roles[role]
	if x == nil || y == nil {
		return x == y
	}
	return x.Threshold == y.Threshold && slices.Equal(slices.Sorted(slices.Values(x.KeyIDs)), slices.Sorted(slices.Values(y.KeyIDs)))
}

// newTimestamp is 5.4. The one held goes through the rules first, so that the
// new one is not older; that it is expired itself does not matter then.
func (w *walk) newTimestamp() error {
	name := inRepo(timestampFile)
	if w.root().md.Signed.IsExpired(w.rules.RefTime) {
		return w.Expired(w.now)
	}
	if w.timestamp.md != nil {
		if _, err := w.rules.UpdateTimestamp(w.timestamp.raw); err != nil && w.rules.Timestamp == nil {
			w.timestamp = held[metadata.TimestampType]{}
		}
	}
	raw, err := w.seen, error(nil)
	if raw == nil {
		raw, err = w.fetch(timestampFile, maxTimestamp, w.timestamp.raw)
	}
	if errors.Is(err, pipe.ErrSame) && w.timestamp.md != nil {
		return w.oldTimestamp()
	}
	if err != nil {
		return err
	}
	next, err := parse[metadata.TimestampType](raw)
	if err != nil {
		return refuse(name, err)
	}
	switch _, err = w.rules.UpdateTimestamp(raw); {
	case errors.Is(err, &metadata.ErrEqualVersionNumber{}):
		return w.oldTimestamp()
	case errors.Is(err, &metadata.ErrBadVersionNumber{}) && next.Signed.Version < w.timestamp.md.Signed.Version:
		return &Error{Stale, name, err}
	case err != nil:
		return refuse(name, err)
	}
	w.timestamp, w.fresh, w.changed = held[metadata.TimestampType]{raw, next}, true, true
	return nil
}

// oldTimestamp goes on with the one held, unless its time is over.
func (w *walk) oldTimestamp() error {
	if !w.timestamp.md.Signed.IsExpired(w.rules.RefTime) {
		return nil
	}
	return &Error{Expired, inRepo(timestampFile), fmt.Errorf("version %d was good until %s",
		w.timestamp.md.Signed.Version, w.timestamp.md.Signed.Expires.UTC().Format(time.DateTime))}
}

// newSnapshot is 5.5. The one held is a rule for the new one even when it is
// no longer the right one, and when the timestamp above it was lost.
func (w *walk) newSnapshot() error {
	meta := w.rules.Timestamp.Signed.Meta["snapshot.json"]
	file := versioned(meta.Version, metadata.SNAPSHOT)
	if w.snapshot.md != nil {
		if held := w.snapshot.md.Signed.Version; meta.Version < held {
			return older(file, held)
		}
		_, err := w.rules.UpdateSnapshot(w.snapshot.raw, true)
		if err == nil && meta.VerifyLengthHashes(w.snapshot.raw) == nil {
			return nil
		}
	}
	raw, err := w.fetch(file, bound(meta.Length, maxSnapshot), nil)
	if err != nil {
		return err
	}
	next, err := parse[metadata.SnapshotType](raw)
	if err == nil {
		_, err = w.rules.UpdateSnapshot(raw, false)
	}
	if err != nil {
		return refuse(inRepo(file), err)
	}
	w.snapshot, w.changed = held[metadata.SnapshotType]{raw, next}, true
	w.store.put("snapshot.json", raw)
	return nil
}

// older is what leads back behind what is known here.
func older(file string, known int64) error {
	return &Error{Stale, inRepo(file), fmt.Errorf("version %d is known here", known)}
}

// newTargets is 5.6. That targets do not go back is a rule of the snapshot's
// (5.5.5), which may have been lost; so the version is remembered as well.
func (w *walk) newTargets() error {
	meta := w.rules.Snapshot.Signed.Meta["targets.json"]
	file := versioned(meta.Version, metadata.TARGETS)
	if least := w.leastTargets(); meta.Version < least {
		return older(file, least)
	}
	if err := w.takeTargets(file, meta); err != nil {
		return err
	}
	w.floor.Targets = meta.Version
	return nil
}

func (w *walk) takeTargets(file string, meta *metadata.MetaFiles) error {
	if w.targets.md != nil {
		if _, err := w.rules.UpdateTargets(w.targets.raw); err == nil {
			return nil
		}
	}
	raw, err := w.fetch(file, bound(meta.Length, maxTargets), nil)
	if err != nil {
		return err
	}
	next, err := parse[metadata.TargetsType](raw)
	if err == nil {
		_, err = w.rules.UpdateTargets(raw)
	}
	if err != nil {
		return refuse(inRepo(file), err)
	}
	w.targets, w.changed = held[metadata.TargetsType]{raw, next}, true
	w.store.put("targets.json", raw)
	return nil
}

// bound is a signed length, where there is one and it is no more than max.
func bound(signed, max int64) int64 {
	if signed == 0 {
		return max
	}
	return min(signed, max)
}
