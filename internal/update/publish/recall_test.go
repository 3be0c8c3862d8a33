package publish

import (
	"slices"
	"strings"
	"testing"
	"time"

	"portward/internal/update"
)

// Rule: what is not published can be neither shared out nor recalled, and a
// wrong name is answered with the right ones.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.open()
	if _, err := p.SetShare("stable", "", 5000, 0); err == nil || !strings.Contains(err.Error(), "nothing is published for stable/*") {
		t.Error(err)
	}
	if _, err := p.Recall("stable", "linux-amd64", "1.0.0"); err == nil || !strings.Contains(err.Error(), "nothing is published for stable/linux-amd64") {
		t.Error(err)
	}
	p.Close()
	b.mustPublish(usual("1.0.0").make(t), nil)
	b.mustPublish(usual("1.1.0").make(t), nil)
	signed := b.repo.signed
	p = b.open()
	for _, what := range []string{"1.2.0", "", strings.Repeat("0", 64)} {
		if _, err := p.Recall("stable", "", what); err == nil || !strings.Contains(err.Error(), "there are 1.0.0, 1.1.0") {
			t.Errorf("recall %q: %v", what, err)
		}
	}
	if b.repo.signed != signed {
		t.Error("something was signed")
	}
}

// Rule: a share is changed on all platforms at once, without other bytes or
// another order of machines; what was recalled is not shared out again.
func TestSetShare(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := usual("1.0.0").make(t)
	b.mustPublish(dir, func(p *Plan) { p.Share = 100 })
	b.mustPublish(dir, func(p *Plan) { p.Share, p.Platform = 100, "linux-arm64" })
	hash, before := b.release("linux-amd64")
	signed := b.repo.signed
	p := b.open()
	list, err := p.SetShare("stable", "", 5000, time.Minute)
	if err != nil || len(list) != 2 || b.repo.signed != signed+1 {
		t.Fatalf("%v, %v, signed %d times", list, err, b.repo.signed-signed)
	}
	for _, platform := range []string{"linux-amd64", "linux-arm64"} {
		if h, r := b.release(platform); h != hash || r.Rollout.Share != 5000 || r.Rollout.Ramp != 60 || !r.Rollout.Start.Equal(start) {
			t.Errorf("%s: %s %+v", platform, h, r)
		}
	}
	if _, r := b.release("linux-amd64"); r.Rollout.Seed != before.Rollout.Seed {
		t.Error("another seed")
	}
	if _, err := p.Recall("stable", "linux-amd64", hash); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetShare("stable", "linux-amd64", 1, 0); err == nil || !strings.Contains(err.Error(), "was recalled") {
		t.Error(err)
	}
	if _, err := p.SetShare("stable", "linux-amd64", 0, 0); err != nil {
		t.Error(err)
	}
}

// Rule: a recalled release that had none before it is offered to nobody; it
// stays named as bad in every later one.
func TestRecallFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.mustPublish(usual("1.0.0").make(t), nil)
	p := b.open()
	list, err := p.Recall("stable", "", "1.0.0")
	if err != nil || len(list) != 1 || list[0].Recalled != "1.0.0" || list[0].Share != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	hash, r := b.release("linux-amd64")
	if hash != one.Hash || r.Rollout.Share != 0 || !slices.Equal(r.Bad, []string{one.Hash}) {
		t.Errorf("%s %+v", hash, r)
	}
	p.Close()
	b.mustPublish(usual("1.1.0").make(t), nil)
	if _, r := b.release("linux-amd64"); !slices.Equal(r.Bad, []string{one.Hash}) || !slices.Equal(r.History, []string{one.Hash}) {
		t.Errorf("%+v", r)
	}
}

// Rule: when the present release is recalled, the newest good one before it
// takes its place, whole and for everybody; when an earlier one is, the present
// one stays.
func TestRecall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var hashes []string
	p := b.open() // one publisher for all: it knows what it did
	defer p.Close()
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		s, err := p.Publish(Plan{Bundle: usual(version).make(t), Channel: "stable", Platform: "linux-amd64", Share: 3000})
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, s.Hash)
	}
	if _, err := p.Recall("stable", "", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	if hash, r := b.release("linux-amd64"); hash != hashes[2] || r.Rollout.Share != 3000 || !slices.Equal(r.Bad, hashes[1:2]) {
		t.Errorf("after 1.1.0: %s %+v", hash, r)
	}
	list, err := p.Recall("stable", "", hashes[2])
	if err != nil || len(list) != 1 || list[0].Version != "1.0.0" || list[0].Recalled != "1.2.0" {
		t.Fatalf("%v, %v", list, err)
	}
	hash, r := b.release("linux-amd64")
	if hash != hashes[0] || r.Version != "1.0.0" || r.Rollout.Share != Whole || len(r.Bad) != 2 || !slices.Equal(r.History, []string{hashes[2], hashes[1]}) {
		t.Errorf("after 1.2.0: %s %+v", hash, r)
	}
	b.lintsClean(t)
	if _, err := p.Recall("stable", "", hashes[2]); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if h, r := b.release("linux-amd64"); h != hash || len(r.Bad) != 2 || r.Rollout.Share != Whole {
		t.Errorf("a second recall changed it: %+v", r)
	}
}

// Rule: a release whose blobs are damaged does not come back.
func TestRecallWithRottenBlobs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPublish(usual("1.0.0").make(t), nil)
	for _, it := range b.delivery().Files {
		b.damage(it.Blob.SHA256)
	}
	two := b.mustPublish(usual("1.1.0").make(t), nil)
	p := b.open()
	if _, err := p.Recall("stable", "", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	if hash, r := b.release("linux-amd64"); hash != two.Hash || r.Rollout != (update.Rollout{Seed: r.Rollout.Seed}) {
		t.Errorf("%s %+v", hash, r)
	}
}
