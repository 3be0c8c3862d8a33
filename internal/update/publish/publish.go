package publish

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/mod/semver"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/update"
	"portward/internal/update/pipe"
	"portward/internal/update/tufrepo"
)

// Whole is the share that means every machine.
const Whole = 10000

// Bounds of what one release carries along.
const (
	maxHistory = 16
	maxBad     = 128
)

// whole are the programs without which a machine could not update again.
var whole = []string{"supervisor", "netchild", "guiagent", "portward"}

// Options say where, by whose keys, and when.
type Options struct {
	Repo     string
	Keys     tufrepo.KeyDirs // Root is not needed
	Pass     tufrepo.Pass
	Now      time.Time
	Anchors  [][32]byte   // who vouches for those who sign a Mac's programs; nil: Apple
	Progress func(string) // may be nil
}

// A repository is what is asked of a tufrepo.Repo.
type repository interface {
	Targets() map[string]pipe.Target
	Stand() tufrepo.Stand
	Unlock() error
	Publish(set map[string]tufrepo.NewTarget, remove []string, now time.Time) error
	Resign(now time.Time) error
	Expiries() []tufrepo.Expiry
}

// A Publisher changes one repository. It is used from one goroutine; nobody
// else publishes there before Close.
type Publisher struct {
	o     Options
	repo  repository
	lock  *durable.FileLock
	store *store
	known index // of what was published before the present call
}

// Open takes a repository for one publisher, waiting for another to end.
func Open(o Options) (*Publisher, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	repo, lock, err := openLocked(o)
	if err != nil {
		return nil, err
	}
	p := &Publisher{o: o, repo: repo, lock: lock, store: newStore(o.Repo)}
	if err := sweep(o.Repo); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return p, nil
}

// sweep removes the unfinished files of killed publishers.
func sweep(repo string) error {
	dirs, err := filepath.Glob(filepath.Join(repo, "targets", "*", "*"))
	for _, dir := range append(dirs, filepath.Join(repo, "b"), filepath.Join(repo, "metadata")) {
		if swept := durable.Sweep(dir); !isMissing(swept) {
			err = errors.Join(err, swept)
		}
	}
	return err
}

func openLocked(o Options) (*tufrepo.Repo, *durable.FileLock, error) {
	lock, err := Lock(o.Repo, o.Progress)
	if err != nil {
		return nil, nil, err
	}
	repo, err := tufrepo.OpenRepo(o.Repo, o.Keys, o.Pass)
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return repo, lock, nil
}

// Lock keeps other publishers from changing a repository until it is closed. It
// waits for whoever is at it, and says so; tell may be nil.
func Lock(repo string, tell func(string)) (*durable.FileLock, error) {
	if _, err := os.Stat(filepath.Join(repo, "metadata")); err != nil {
		return nil, fmt.Errorf("%s is no repository: %w\nhint: portward keys init --repo %s makes one", repo, err, repo)
	}
	lock, err := durable.TryLock(filepath.Join(repo, ".lock"))
	if errors.Is(err, durable.ErrLocked) {
		if tell != nil {
			tell("waiting for another publisher to end")
		}
		lock, err = durable.Lock(filepath.Join(repo, ".lock"))
	}
	return lock, err
}

// Close lets others publish.
func (p *Publisher) Close() error { return p.lock.Close() }

// A Plan is what to publish, and to whom.
type Plan struct {
	Bundle   string // its directory
	Channel  string
	Platform string // "": the one its programs were built for
	Share    int    // of Whole
	Ramp     time.Duration
	Security bool
	Deltas   int // releases from which patches are made

	DespiteLint bool // publish what would hurt the people who run the present release
}

// A Summary is what became of one channel's release on one platform.
type Summary struct {
	Channel, Platform string
	Version, Hash     string
	Share             int
	Recalled          string // the version that must not run any more
	Files             int    // contents
	Blobs, Deltas     int    // new ones
	BlobBytes         int64
	DeltaBytes        int64
}

// Publish makes a bundle the channel's release, unless lint refuses it: as the
// successor of the present one or, for Macs, as signed by nobody.
func (p *Publisher) Publish(plan Plan) (Summary, error) {
	next, err := bundleAt(plan.Bundle)
	if err != nil {
		return Summary{}, err
	}
	seal := next.seal
	s := Summary{Channel: plan.Channel, Version: seal.Version, Hash: seal.Hash(), Share: plan.Share}
	if s.Platform, err = p.check(plan, next); err != nil {
		return Summary{}, err
	}
	before, err := p.present(s.Channel, s.Platform)
	if err != nil {
		return Summary{}, err
	}
	if p.known, err = readIndex(p.o.Repo); err != nil {
		return Summary{}, err
	}
	on := shelfOf(p.o.Repo, s.Channel, s.Platform)
	if err := p.isNewer(seal, before, on); err != nil {
		return Summary{}, fmt.Errorf("%s/%s: %w", s.Channel, s.Platform, err)
	}
	if err := p.lint(plan, s, before, on, next); err != nil && !plan.DespiteLint {
		return Summary{}, fmt.Errorf("%s/%s: %w", s.Channel, s.Platform, err)
	}
	if err := p.repo.Unlock(); err != nil { // before anything is stored
		return Summary{}, err
	}
	release := update.Release{
		Version: seal.Version, Security: plan.Security,
		Rollout: p.rollout(plan.Share, plan.Ramp),
		Bad:     before.Bad, History: before.past(seal.Hash()),
	}
	making := p.delivering(&s)
	delivery, err := making.deliver(plan.Bundle, seal, earlier(on, release.History, plan.Deltas))
	if err != nil {
		return Summary{}, err
	}
	return s, p.put(s, seal, delivery, release)
}

func (p *Publisher) delivering(s *Summary) *delivering {
	return &delivering{store: p.store, known: p.known, tell: p.o.Progress, sum: s}
}

// check answers the platform of a bundle that may be published.
func (p *Publisher) check(plan Plan, next side) (string, error) {
	seal := next.seal
	if err := checkWord("channel", plan.Channel); err != nil {
		return "", err
	}
	if err := checkVersion(seal.Version); err != nil {
		return "", err
	}
	for _, name := range whole {
		if !seal.Has(name) {
			return "", fmt.Errorf("the bundle has no %s: a machine that takes it could not update again\nhint: portward pack without --seed", name)
		}
	}
	found, err := platformOf(next)
	if err != nil {
		return "", err
	}
	return choosePlatform(plan.Platform, found)
}

// checkVersion: what is compared on machines must mean the same to people.
func checkVersion(v string) error {
	if !semver.IsValid("v"+v) || semver.Canonical("v"+v) != "v"+v {
		return fmt.Errorf("version %q cannot be published\nhint: portward pack --version 1.2.3", v)
	}
	return nil
}

// isNewer refuses what machines would not take, or must not.
func (p *Publisher) isNewer(seal *bundle.Seal, before present, on shelf) error {
	hash := seal.Hash()
	switch {
	case slices.Contains(before.Bad, hash):
		return fmt.Errorf("%s was recalled; what is fixed has another version", seal.Version)
	case before.hash == hash:
		return fmt.Errorf("%s is published already\nhint: --rollout changes who takes it", seal.Version)
	}
	newest := before.Version
	for _, h := range slices.Concat(before.Bad, before.History) {
		if _, old, err := on.seal(h); err == nil && bundle.Compare(old.Version, newest) > 0 {
			newest = old.Version
		}
	}
	if newest != "" && bundle.Compare(seal.Version, newest) <= 0 {
		return fmt.Errorf("%s is not newer than %s, which is published", seal.Version, newest)
	}
	return nil
}

// rollout draws a new seed, so that it is not always the same machines that
// are first.
func (p *Publisher) rollout(share int, ramp time.Duration) update.Rollout {
	r := update.Rollout{Seed: rand.Text(), Share: share}
	if ramp > 0 {
		r.Start, r.Ramp = p.o.Now.UTC().Truncate(time.Second), update.Seconds(ramp/time.Second)
	}
	return r
}

// put signs: from here on machines see it.
func (p *Publisher) put(s Summary, seal *bundle.Seal, delivery []byte, r update.Release) error {
	sealed, err := seal.Bytes()
	if err != nil {
		return err
	}
	custom, err := custom(r)
	if err != nil {
		return err
	}
	return p.sign(map[string]tufrepo.NewTarget{
		update.SealName(s.Channel, s.Platform):     {Data: sealed, Custom: custom},
		update.DeliveryName(s.Channel, s.Platform): {Data: delivery},
	})
}

// Resign renews what ends first, the snapshot and the timestamp. The machine
// that does it daily needs no memory; where there is one it counts.
func (p *Publisher) Resign() error {
	m, err := remember(p.o.Keys.Targets)
	if err == nil {
		err = m.allows(p.repo.Stand())
	}
	if err != nil {
		return err
	}
	return p.repo.Resign(p.o.Now)
}

// Renew renews everything but the root, without a new release.
func (p *Publisher) Renew() error { return p.sign(nil) }

// Warnings says what will end soon.
func (p *Publisher) Warnings() []string { return tufrepo.Warn(p.repo.Expiries(), p.o.Now) }
