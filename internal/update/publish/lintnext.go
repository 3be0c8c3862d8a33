package publish

import (
	"fmt"
	"time"

	"portward/internal/bundle"
	"portward/internal/update"
)

// lint tells what there is to say of a release that is to follow the present
// one. Its blobs and patches are proved when they are made; all dates but root's
// are new when it is signed.
func (p *Publisher) lint(s Summary, before present, on shelf, next side) error {
	var l findings
	l.root(p.repo, p.o.Now)
	if before.hash != "" {
		old, err := p.published(on, before.hash)
		if err != nil {
			l.warn("%s is not compared with: %v", before.Version, err)
		} else {
			l.compare(old, next)
		}
	}
	if err := l.behind(p.repo, s); err != nil {
		return err
	}
	for _, f := range l {
		p.o.Progress(f.String())
	}
	if Refused(l) {
		return fmt.Errorf("%s would hurt the people who run %s\nhint: each line that begins with \"error:\" says how; --despite-lint publishes it all the same", s.Version, before.Version)
	}
	return nil
}

// root finds what publishing does not renew.
func (l *findings) root(repo repository, now time.Time) {
	for _, e := range repo.Expiries() {
		if e.Role == "root" && !e.Expires.After(now) {
			l.refuse("root expired at %s: no machine installs anything; portward keys renew", e.Expires.UTC().Format(time.RFC3339))
		}
	}
}

// behind finds the platforms that have an older release than the one to be
// published; theirs may come next.
func (l *findings) behind(repo repository, s Summary) error {
	for _, platform := range platforms(repo, s.Channel) {
		r, err := update.ParseRelease(repo.Targets()[update.SealName(s.Channel, platform)].Custom)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", s.Channel, platform, err)
		}
		if platform != s.Platform && bundle.Compare(r.Version, s.Version) < 0 {
			l.warn("%s/%s stays at %s until it has a release, too", s.Channel, platform, r.Version)
		}
	}
	return nil
}
