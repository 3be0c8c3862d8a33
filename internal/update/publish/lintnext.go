package publish

import (
	"cmp"
	"fmt"
	"time"

	"portward/internal/bundle"
	"portward/internal/bundle/signature"
	"portward/internal/update"
)

// lint tells what there is to say of a release that is to follow the present
// one. Its blobs and patches are proved when they are made; all dates but root's
// are new when it is signed.
func (p *Publisher) lint(plan Plan, s Summary, before present, on shelf, next side) error {
	var l findings
	l.root(p.repo, p.o.Now)
	if s.Platform == bundle.Universal {
		l.signed(plan.Bundle, signature.Options{Anchors: p.o.Anchors})
	}
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
		return fmt.Errorf("%s would hurt the people who run %s\nhint: each line that begins with \"error:\" says how; --despite-lint publishes it all the same", s.Version, cmp.Or(before.Version, "it"))
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

// signed finds what no Mac would believe of an app. What nobody signed is believed
// where its hashes are known, and a release's are not.
func (l *findings) signed(dir string, o signature.Options) {
	if _, err := signature.VerifyBundle(bundle.Layout(dir).App(), o); err != nil {
		l.refuse("Apple's signature: %v; portward sign --help", err)
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
