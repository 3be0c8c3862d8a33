package publish

import (
	"fmt"
	"slices"
	"time"

	"portward/internal/bundle"
	"portward/internal/update"
	"portward/internal/update/delta"
	"portward/internal/update/fetch"
	"portward/internal/update/tufrepo"
)

// A Check says which part of a repository lint looks at, and for which release.
type Check struct {
	Repo    string
	Channel string
	New     []string // bundles of the release that is to be published, one per platform
	Now     time.Time
}

// LintRepo looks at a repository with the eyes of a machine: what is signed must
// still be valid, be there, and come out as the seals say, by every way that a
// delivery offers. Platforms that the channel has must not be left behind.
func LintRepo(c Check) ([]Finding, error) {
	repo, err := tufrepo.OpenRepo(c.Repo, tufrepo.KeyDirs{}, nil)
	if err != nil {
		return nil, err
	}
	return lintRepo(c, repo)
}

func lintRepo(c Check, repo repository) ([]Finding, error) {
	var l findings
	l.expiries(repo, c.Now)
	all := platforms(repo, c.Channel)
	if len(all) == 0 {
		l.warn("channel %s has no release yet", c.Channel)
	}
	for _, platform := range all {
		l.offered(c, repo, platform)
	}
	return l, l.missing(c, repo, all)
}

func (l *findings) expiries(repo repository, now time.Time) {
	list := repo.Expiries()
	for _, e := range list {
		if !e.Expires.After(now) {
			l.refuse("%s expired at %s: no machine installs anything", e.Role, e.Expires.UTC().Format(time.RFC3339))
		}
	}
	list = slices.DeleteFunc(list, func(e tufrepo.Expiry) bool { return !e.Expires.After(now) })
	for _, text := range tufrepo.Warn(list, now) {
		l.warn("%s", text)
	}
}

// missing finds the platforms that would stay behind.
func (l *findings) missing(c Check, repo repository, all []string) error {
	version, given := "", []string{}
	for _, dir := range c.New {
		seal, err := bundle.ReadSeal(dir)
		if err != nil {
			return err
		}
		found, err := platformOf(side{seal, func(e bundle.Entry) ([]byte, error) { return readFrom(dir, e) }})
		if err != nil {
			return err
		}
		version, given = seal.Version, append(given, found)
	}
	if len(given) == 0 || len(given) == 1 && given[0] == "" {
		return nil // nothing to compare with
	}
	for _, platform := range all {
		r, err := update.ParseRelease(repo.Targets()[update.SealName(c.Channel, platform)].Custom)
		if err != nil {
			l.refuse("%s/%s: %v", c.Channel, platform, err)
		} else if !slices.Contains(given, platform) && bundle.Compare(r.Version, version) < 0 {
			l.refuse("platform missing: %s/%s is at %s and this release has nothing for it", c.Channel, platform, r.Version)
		}
	}
	return nil
}

// offered tries everything that a platform's machines may be told to fetch.
func (l *findings) offered(c Check, repo repository, platform string) {
	name, on := c.Channel+"/"+platform, shelfOf(c.Repo, c.Channel, platform)
	_, seal, err := on.seal(repo.Targets()[update.SealName(c.Channel, platform)].SHA256)
	if err != nil {
		l.refuse("%s: the seal: %v", name, err)
		return
	}
	d, err := on.delivery(repo.Targets()[update.DeliveryName(c.Channel, platform)].SHA256)
	if err != nil {
		l.refuse("%s: the delivery: %v", name, err)
		return
	}
	known, err := readIndex(c.Repo)
	if err != nil {
		l.refuse("%s: %v", name, err)
		return
	}
	for _, e := range seal.Entries {
		if e.Type == bundle.File && !slices.ContainsFunc(d.Files, func(it fetch.Item) bool { return it.SHA256 == e.SHA256 }) {
			l.refuse("%s: %s is in no delivery", name, e.Path)
		}
	}
	for _, it := range d.Files {
		l.item(name, newStore(c.Repo), known, it)
	}
}

func (l *findings) item(name string, s *store, known index, it fetch.Item) {
	data, err := s.content(it)
	if err == nil {
		err = checkPieces(s, it.Blob)
	}
	if err != nil {
		l.refuse("%s: %v", name, err)
		return
	}
	for _, d := range it.Deltas {
		if err := applies(s, known, d, data); err != nil {
			l.refuse("%s: the patch from %.12s to %.12s does not round-trip: %v", name, d.From, it.SHA256, err)
		}
	}
}

func checkPieces(s *store, b fetch.Blob) error {
	stored, err := s.get(b.SHA256, b.Size)
	if err != nil {
		return err
	}
	if !slices.Equal(fetch.Pieces(stored), b.Pieces) {
		return fmt.Errorf("blob %s: the hashes of its pieces are others", b.SHA256)
	}
	return nil
}

func applies(s *store, known index, d fetch.Delta, want []byte) error {
	a, ok := delta.ByName(d.Algorithm)
	if !ok {
		return fmt.Errorf("no algorithm %q", d.Algorithm)
	}
	from, ok := known.items[d.From]
	if !ok {
		return fmt.Errorf("the old content is in no delivery")
	}
	old, err := s.content(from)
	if err != nil {
		return err
	}
	patch, err := s.get(d.SHA256, d.Size)
	if err != nil {
		return err
	}
	return roundTrips(a, old, patch, want)
}
