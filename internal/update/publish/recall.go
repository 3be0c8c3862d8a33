package publish

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"portward/internal/bundle"
	"portward/internal/update"
	"portward/internal/update/tufrepo"
)

// SetShare changes who takes the present release: on one platform, or with ""
// on all of the channel. A ramp begins now, with nobody.
func (p *Publisher) SetShare(channel, platform string, share int, ramp time.Duration) ([]Summary, error) {
	chosen, err := p.chosen(channel, platform)
	if err != nil {
		return nil, err
	}
	set := map[string]tufrepo.NewTarget{}
	var list []Summary
	for _, platform := range chosen {
		now, err := p.present(channel, platform)
		if err != nil {
			return nil, err
		}
		if share > 0 && slices.Contains(now.Bad, now.hash) {
			return nil, fmt.Errorf("%s/%s: %s was recalled; nobody may take it", channel, platform, now.Version)
		}
		sealed, _, err := shelfOf(p.o.Repo, channel, platform).seal(now.hash)
		if err != nil {
			return nil, err
		}
		now.Rollout = p.share(now.Rollout, share, ramp)
		custom, err := custom(now.Release)
		if err != nil {
			return nil, err
		}
		set[update.SealName(channel, platform)] = tufrepo.NewTarget{Data: sealed, Custom: custom}
		list = append(list, Summary{Channel: channel, Platform: platform, Version: now.Version, Hash: now.hash, Share: share})
	}
	return list, p.sign(set)
}

// share keeps the seed: who was among the first stays among them.
func (p *Publisher) share(r update.Rollout, share int, ramp time.Duration) update.Rollout {
	next := p.rollout(share, ramp)
	next.Seed = r.Seed
	return next
}

// Recall declares a release, by version or by its seal's hash, one that must
// not run: on one platform, or with "" on all of the channel that had it.
// Machines that run it go back to the release they retained. When it is the
// present one, the newest good release before it takes its place, for machines
// that retained none; when there is none, nobody takes it any more. Recalls that
// are remembered, and not in this copy of the repository, come back with it.
func (p *Publisher) Recall(channel, platform, what string) ([]Summary, error) {
	chosen, err := p.chosen(channel, platform)
	if err != nil {
		return nil, err
	}
	if p.known, err = readIndex(p.o.Repo); err != nil {
		return nil, err
	}
	m, err := remember(p.o.Keys.Targets)
	if err != nil {
		return nil, err
	}
	set := map[string]tufrepo.NewTarget{}
	var list []Summary
	var had []string
	for _, platform := range chosen {
		r, err := p.recalling(m, channel, platform)
		if err != nil {
			return nil, err
		}
		hash, versions := r.find(what)
		had = append(had, versions...)
		if hash == "" {
			continue
		}
		if err := r.into(set, hash); err != nil {
			return nil, err
		}
		list = append(list, r.sum)
	}
	if len(list) == 0 {
		slices.SortFunc(had, bundle.Compare)
		return nil, fmt.Errorf("no release %s on %s\nhint: there are %s", what, channel, strings.Join(slices.Compact(had), ", "))
	}
	again, err := p.recallAgain(m, set)
	if err != nil {
		return nil, err
	}
	return append(list, again...), p.sign(set)
}

// recallAgain adds the recalls that are remembered, and lost, of all other
// channels and platforms.
func (p *Publisher) recallAgain(m *memory, set map[string]tufrepo.NewTarget) (list []Summary, err error) {
	for _, place := range slices.Sorted(maps.Keys(m.Recalled)) {
		channel, platform, _ := strings.Cut(place, "/")
		_, done := set[update.SealName(channel, platform)]
		r, err := p.recalling(m, channel, platform)
		if err != nil {
			return nil, err
		}
		if done || r.now.hash == "" || len(r.lost) == 0 {
			continue
		}
		if err := r.into(set, r.lost[0]); err != nil {
			return nil, err
		}
		list = append(list, r.sum)
	}
	return list, nil
}

func (p *Publisher) recalling(m *memory, channel, platform string) (r recall, err error) {
	r = recall{p: p, on: shelfOf(p.o.Repo, channel, platform), sum: Summary{Channel: channel, Platform: platform}}
	r.now, err = p.present(channel, platform)
	r.lost = m.lost(channel+"/"+platform, r.now.Bad)
	return r, err
}

// A recall is one of a platform's releases to be taken back.
type recall struct {
	p    *Publisher
	on   shelf
	now  present
	lost []string // remembered as bad, and not said to be
	sum  Summary
}

// find answers the hash of a release that was published here, and all versions
// that were.
func (r *recall) find(what string) (hash string, versions []string) {
	of := map[string]string{r.now.hash: r.now.Version}
	for _, h := range slices.Concat(r.now.History, r.now.Bad) {
		if _, seal, err := r.on.seal(h); err == nil {
			of[h] = seal.Version
		}
	}
	for h, version := range of {
		if what == h || what == version {
			hash, r.sum.Recalled = h, version
		}
	}
	if hash == "" && slices.Contains(r.lost, what) {
		hash = what
	}
	return hash, slices.Collect(maps.Values(of))
}

// into adds what is to be signed.
func (r *recall) into(set map[string]tufrepo.NewTarget, hash string) error {
	if err := r.add(set, hash); err != nil {
		return fmt.Errorf("%s/%s: %w", r.sum.Channel, r.sum.Platform, err)
	}
	return nil
}

func (r *recall) add(set map[string]tufrepo.NewTarget, hash string) error {
	next := r.now.Release
	if !slices.Contains(next.Bad, hash) {
		next.Bad = merge([]string{hash}, next.Bad)
	}
	next.Bad = merge(next.Bad, r.lost)
	if r.sum.Recalled == "" {
		r.sum.Recalled = hash[:min(len(hash), 12)]
	}
	offered := r.now.hash
	if slices.Contains(next.Bad, r.now.hash) {
		if back, ok := r.back(next); ok {
			return r.putBack(set, back, next.Bad)
		}
		next.Rollout.Share = 0
	}
	sealed, _, err := r.on.seal(offered)
	if err != nil {
		return err
	}
	return r.put(set, offered, sealed, next)
}

// back answers the newest earlier release that is good and still here.
func (r *recall) back(next update.Release) (hash string, ok bool) {
	for _, h := range next.History {
		if slices.Contains(next.Bad, h) {
			continue
		}
		if _, seal, err := r.on.seal(h); err == nil {
			if _, err := r.p.delivering(&r.sum).again(seal); err == nil {
				return h, true
			}
		}
	}
	return "", false
}

// putBack offers an earlier release again. The recalled one stays in the
// history: machines that run it are worth a patch to what fixes it.
func (r *recall) putBack(set map[string]tufrepo.NewTarget, hash string, bad []string) error {
	sealed, seal, err := r.on.seal(hash)
	if err != nil {
		return err
	}
	delivery, err := r.p.delivering(&r.sum).again(seal)
	if err != nil {
		return err
	}
	set[update.DeliveryName(r.sum.Channel, r.sum.Platform)] = tufrepo.NewTarget{Data: delivery}
	return r.put(set, hash, sealed, update.Release{
		Version: seal.Version, Rollout: r.p.rollout(Whole, 0), Bad: bad, History: r.now.past(hash),
	})
}

func (r *recall) put(set map[string]tufrepo.NewTarget, hash string, sealed []byte, next update.Release) error {
	custom, err := custom(next)
	if err != nil {
		return err
	}
	r.sum.Version, r.sum.Hash, r.sum.Share = next.Version, hash, next.Rollout.Share
	set[update.SealName(r.sum.Channel, r.sum.Platform)] = tufrepo.NewTarget{Data: sealed, Custom: custom}
	return nil
}
