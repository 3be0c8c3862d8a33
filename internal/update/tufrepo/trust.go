package tufrepo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"portward/internal/durable"
	"portward/internal/update/pipe"
)

// Trust is what one machine believes of one repository. It is used from one
// goroutine; its directory belongs to it alone.
type Trust struct {
	built time.Time
	store store
	floor floor

	roots     []held[metadata.RootType] // oldest first; the last is the one in force
	timestamp held[metadata.TimestampType]
	snapshot  held[metadata.SnapshotType]
	targets   held[metadata.TargetsType]
}

// held is verified metadata, with the very bytes that came; zero: none.
type held[T metadata.Roles] struct {
	raw []byte
	md  *metadata.Metadata[T]
}

// Open reads what is trusted in dir, which is made when it is missing. initial
// is the root.json that trust begins with: newer roots in dir count if they
// chain from it, older ones if they chain up to it. Without one it begins with
// the newest in dir that signed itself: each was checked when it came, and only
// root writes there. Whatever else in dir is torn or signed by nobody known is
// set aside as NAME.bad, and fetched again by the next Refresh, which also tries
// again what could be neither read nor written now. built is when this program
// was made: no clock is believed that shows less.
func Open(dir string, initial []byte, built time.Time) (*Trust, error) {
	return open(store{dir: dir, readPlain: readPlain}, initial, built)
}

// OpenAny is Open with the first root of several that trust can begin with. An
// empty one stands for what is kept in dir.
func OpenAny(dir string, built time.Time, initial ...[]byte) (*Trust, error) {
	var errs []error
	for _, root := range initial {
		t, err := Open(dir, root, built)
		if err == nil {
			return t, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func open(s store, initial []byte, built time.Time) (*Trust, error) {
	// No error of the disk counts here: what is trusted is in memory.
	_ = s.make()
	_ = durable.Sweep(s.dir)
	t := &Trust{built: built, store: s}
	first, err := selfSigned(initial)
	if len(initial) == 0 {
		first, err = t.store.newestRoot()
	}
	if err != nil {
		return nil, fmt.Errorf("the root to begin with: %w", err)
	}
	t.roots = []held[metadata.RootType]{first}
	t.load()
	_ = t.store.flush()
	return t, nil
}

// load reads all that goes with the roots that are held, and is not held yet.
func (t *Trust) load() {
	t.climb()
	t.descend()
	load(t, &t.timestamp, metadata.TIMESTAMP, maxTimestamp)
	load(t, &t.snapshot, metadata.SNAPSHOT, maxSnapshot)
	load(t, &t.targets, metadata.TARGETS, maxTargets)
	if t.floor == (floor{}) {
		t.loadFloor()
	}
}

// readAgain is for what could not be read before. What still cannot be is
// fetched, and replaced. While something waits to be written, what lies there is
// older than what is held.
func (t *Trust) readAgain() (changed bool) {
	if t.store.sick == nil || len(t.store.dirty) > 0 {
		return false
	}
	t.store.sick = nil
	before := t.expiries()
	t.load()
	return !slices.Equal(before, t.expiries())
}

// selfSigned is a root that stands behind itself.
func selfSigned(raw []byte) (held[metadata.RootType], error) {
	md, err := parse[metadata.RootType](raw)
	if err == nil {
		err = md.VerifyDelegate(metadata.ROOT, md)
	}
	return held[metadata.RootType]{raw, md}, err
}

func (t *Trust) root() held[metadata.RootType] { return t.roots[len(t.roots)-1] }

// climb adds the roots after the initial one, each signed by the one before.
func (t *Trust) climb() {
	for {
		file := versioned(t.root().md.Signed.Version+1, metadata.ROOT)
		raw, ok := t.store.read(file, maxRoot)
		if !ok {
			return
		}
		next, err := nextRoot(t.root(), raw)
		if err != nil {
			t.store.setAside(file)
			return
		}
		t.roots = append(t.roots, next)
	}
}

// descend adds the roots before the initial one, each of which signed the one
// after. They were checked upwards when they came; nobody but root writes here.
// What they still do is vouch for a bundle that is older than the program.
func (t *Trust) descend() {
	if first := t.roots[0]; !t.isStored(first) {
		t.store.put(versioned(first.md.Signed.Version, metadata.ROOT), first.raw)
	}
	for t.roots[0].md.Signed.Version > 1 {
		file := versioned(t.roots[0].md.Signed.Version-1, metadata.ROOT)
		raw, ok := t.store.read(file, maxRoot)
		if !ok {
			return
		}
		before, err := selfSigned(raw)
		if err == nil {
			_, err = nextRoot(before, t.roots[0].raw)
		}
		if err != nil {
			t.store.setAside(file)
			return
		}
		t.roots = append([]held[metadata.RootType]{before}, t.roots...)
	}
}

func (t *Trust) isStored(r held[metadata.RootType]) bool {
	raw, ok := t.store.read(versioned(r.md.Signed.Version, metadata.ROOT), maxRoot)
	return ok && string(raw) == string(r.raw)
}

// nextRoot is a root of the next version that the one before and itself signed.
func nextRoot(last held[metadata.RootType], raw []byte) (held[metadata.RootType], error) {
	next, err := parse[metadata.RootType](raw)
	if err != nil {
		return held[metadata.RootType]{}, err
	}
	if next.Signed.Version != last.md.Signed.Version+1 {
		return held[metadata.RootType]{}, fmt.Errorf("version %d after %d", next.Signed.Version, last.md.Signed.Version)
	}
	err = errors.Join(last.md.VerifyDelegate(metadata.ROOT, next), next.VerifyDelegate(metadata.ROOT, next))
	return held[metadata.RootType]{raw, next}, err
}

// load reads a role's file, if the root in force stands behind it.
func load[T metadata.Roles](t *Trust, into *held[T], role string, max int64) {
	if into.md != nil {
		return
	}
	raw, ok := t.store.read(role+".json", max)
	if !ok {
		return
	}
	md, err := parse[T](raw)
	if err == nil {
		err = t.root().md.VerifyDelegate(role, md)
	}
	if err != nil {
		t.store.setAside(role + ".json")
		return
	}
	*into = held[T]{raw, md}
}

func (t *Trust) loadFloor() {
	raw, ok := t.store.read("floor.json", maxTimestamp)
	if !ok {
		return
	}
	f, err := parseFloor(raw)
	if err != nil {
		t.store.setAside("floor.json")
		return
	}
	if f.Root > t.root().md.Signed.Version {
		f.Walked = time.Time{} // a root was lost: the next refresh looks for it
	}
	t.floor = f
	for _, r := range t.roots {
		if r.md.Signed.Version == f.Root { // the power went when later ones were written, and the floor was not
			t.forget(r.md)
		}
	}
}

// whole says that the three files belong together: no power cut and no failed
// refresh came between them.
func (t *Trust) whole() bool {
	if t.timestamp.md == nil || t.snapshot.md == nil || t.targets.md == nil {
		return false
	}
	s, g := t.timestamp.md.Signed.Meta["snapshot.json"], t.snapshot.md.Signed.Meta["targets.json"]
	return s.Version == t.snapshot.md.Signed.Version && s.VerifyLengthHashes(t.snapshot.raw) == nil &&
		g.Version == t.targets.md.Signed.Version && g.VerifyLengthHashes(t.targets.raw) == nil
}

// Target answers what the trusted targets say of a name, expired or not. A
// target without exactly one SHA-256 is none of our publisher's and not there.
func (t *Trust) Target(name string) (pipe.Target, bool) {
	if t.targets.md == nil {
		return pipe.Target{}, false
	}
	return target(name, t.targets.md.Signed.Targets[name])
}

func target(name string, f *metadata.TargetFiles) (pipe.Target, bool) {
	if f == nil || len(f.Hashes) != 1 || len(f.Hashes["sha256"]) != 32 {
		return pipe.Target{}, false
	}
	out := pipe.Target{Name: name, SHA256: f.Hashes["sha256"].String(), Size: f.Length}
	if f.Custom != nil {
		out.Custom = *f.Custom
	}
	return out, true
}

// Vouch answers the bytes of the newest trusted root and targets, to be laid
// into a bundle; targets is nil when there are none.
func (t *Trust) Vouch() (root, targets []byte) { return t.root().raw, t.targets.raw }

// Vouches says whether a targets file lists these bytes as some seal, and any
// root that was ever trusted here stands behind it. Expiry and later
// revocation do not count: a bundle that runs may go on running.
func (t *Trust) Vouches(targets, seal []byte) error {
	if len(targets) > maxTargets {
		return errors.New("the targets that vouch are too large")
	}
	md, err := parse[metadata.TargetsType](targets)
	if err != nil {
		return fmt.Errorf("the targets that vouch: %w", err)
	}
	if err := t.standsBehind(md); err != nil {
		return fmt.Errorf("the targets that vouch: %w", err)
	}
	for name, f := range md.Signed.Targets {
		if strings.HasSuffix(name, "/seal.json") && f.VerifyLengthHashes(seal) == nil {
			return nil
		}
	}
	return fmt.Errorf("no target lists the seal %s", hashOf(seal))
}

// standsBehind answers the newest root's complaint when no root agrees.
func (t *Trust) standsBehind(md *metadata.Metadata[metadata.TargetsType]) (newest error) {
	for i := len(t.roots) - 1; i >= 0; i-- {
		err := t.roots[i].md.VerifyDelegate(metadata.TARGETS, md)
		if err == nil {
			return nil
		}
		if newest == nil {
			newest = err
		}
	}
	return newest
}

// expiries lists what is held, root first.
func (t *Trust) expiries() []Expiry {
	r := t.root().md.Signed
	list := []Expiry{{metadata.ROOT, r.Version, r.Expires}}
	if m := t.targets.md; m != nil {
		list = append(list, Expiry{metadata.TARGETS, m.Signed.Version, m.Signed.Expires})
	}
	if m := t.snapshot.md; m != nil {
		list = append(list, Expiry{metadata.SNAPSHOT, m.Signed.Version, m.Signed.Expires})
	}
	if m := t.timestamp.md; m != nil {
		list = append(list, Expiry{metadata.TIMESTAMP, m.Signed.Version, m.Signed.Expires})
	}
	return list
}

// Expired answers an *Error when nothing may be installed now because what is
// trusted is too old. What runs may run on.
func (t *Trust) Expired(now time.Time) error {
	ref := t.refTime(now)
	for _, e := range t.expiries() {
		if ref.After(e.Expires) {
			file := e.Role + ".json"
			return &Error{Expired, inRepo(file), fmt.Errorf("version %d was good until %s", e.Version, e.Expires.UTC().Format(time.DateTime))}
		}
	}
	return nil
}

// Warnings says what will stop updates, or stops them already, one line each.
func (t *Trust) Warnings(now time.Time) []string {
	list := Warn(t.expiries(), t.refTime(now))
	if since := t.floor.Stale; !since.IsZero() && now.Sub(since) >= lasting {
		list = append(list, "the repository has served only metadata older than what is known here since "+since.UTC().Format(time.DateTime))
	}
	return list
}
