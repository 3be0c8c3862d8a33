package update

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"portward/internal/bundle"
	"portward/internal/status"
	"portward/internal/update/pipe"
)

// maxSeal bounds the seal's bytes, whatever was signed about their number.
const maxSeal = 1 << 20

// An offer is the present release of the channel, as the trusted metadata
// names it.
type offer struct {
	release  Release
	target   pipe.Target  // of the seal
	delivery pipe.Target  // zero: there is none
	seal     *bundle.Seal // once it was fetched
}

// hash is the release's identity.
func (o offer) hash() string { return o.target.SHA256 }

// check is the straight walk. It ends with ErrHandOver when another bundle took
// the live place, otherwise with a text for whoever asked.
func (u *Updater) check(ctx context.Context, r Request) (string, error) {
	u.phase(status.Checking)
	ctx, cancel := context.WithCancel(ctx)
	c, end, err := u.env.Fetch(ctx)
	if err != nil {
		cancel()
		return "", err
	}
	defer func() { cancel(); end() }()
	o, err := u.offered(c)
	if err != nil {
		return "", err
	}
	v, text, err := u.judge(o, r.Op == "force")
	switch {
	case err != nil || v == nothing || v == wait || r.Op == "check":
		return text, err
	case v == goBack:
		return "", u.revert(text, its)
	}
	text, err = u.take(ctx, c, o, r.Op == "force")
	if errors.Is(err, errInUse) {
		return u.hold(o.release.Version, err.Error(), time.Time{}), nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", o.release.Version, err)
	}
	return text, err
}

// offered brings the metadata up to date; an idle check ends here, after one
// small request.
func (u *Updater) offered(c *pipe.Client) (o offer, err error) {
	now := time.Now()
	if _, err = u.trust.Refresh(now, c.Get); err != nil {
		return o, err
	}
	u.pay.Checked = now
	return u.held()
}

// held answers what the metadata that is held offers.
func (u *Updater) held() (o offer, err error) {
	var known bool
	if o.target, known = u.trust.Target(SealName(u.cfg.Channel, u.cfg.Platform)); !known {
		return o, fmt.Errorf("the repository has nothing for %s on channel %s", u.cfg.Platform, u.cfg.Channel)
	}
	o.delivery, _ = u.trust.Target(DeliveryName(u.cfg.Channel, u.cfg.Platform))
	o.release, err = ParseRelease(o.target.Custom)
	return o, err
}

// judge asks the rules about o and shows what they say.
func (u *Updater) judge(o offer, forced bool) (verdict, string, error) {
	live := u.sight.live
	q := question{
		now: time.Now(), live: live.hash, version: live.version(), payload: u.hasPayload(),
		machine: u.cfg.Machine, forced: forced, lease: u.inbox.lease(), since: u.rec.Since, maxLease: u.cfg.MaxLease,
		hash: o.hash(), denial: u.rec.denial(o.hash()), release: o.release,
	}
	if u.retained() {
		q.retained = u.sight.beside.hash
	}
	v, why, until := judge(q)
	u.pay.Deferred = nil
	if v == wait {
		why = u.hold(o.release.Version, why, until)
	}
	if v == nothing && !q.since.IsZero() { // nothing waits any more; a free moment in between proves nothing
		return v, why, u.change(func(r *record) { r.Since = time.Time{} })
	}
	if until.IsZero() || !q.since.IsZero() && !q.since.After(q.now) {
		return v, why, nil
	}
	return v, why, u.change(func(r *record) { r.Since = q.now.UTC() })
}

// take fetches, stages, verifies, qualifies and exchanges: everything that can
// fail comes before the exchange, and leaves the live bundle alone. A text
// without an error says why what is staged waits: a session began meanwhile.
func (u *Updater) take(ctx context.Context, c *pipe.Client, o offer, forced bool) (string, error) {
	if err := u.trust.Expired(time.Now()); err != nil {
		return "", err
	}
	if err := o.fetchSeal(c); err != nil {
		return "", err
	}
	if earlier := u.rec.To == o.hash() && u.rec.staging() && !u.retained(); !earlier { // attempt at the same release
		if err := u.vacate(o, forced); err != nil {
			return "", err
		}
	}
	err := u.change(func(r *record) { r.begin(Verified, "", u.sight.live, place{hash: o.hash(), seal: o.seal}, u.asked) })
	if err == nil {
		u.phase(status.Staging)
		err = u.stage(ctx, c, o)
	}
	if err == nil {
		err = u.change(func(r *record) { r.State = Staged })
	}
	if err != nil {
		return "", err
	}
	u.phase(status.Qualifying)
	if err := u.qualify(ctx); err != nil {
		return "", u.refuse(err)
	}
	latest, err := u.again(ctx, c)
	if err != nil {
		return "", err
	}
	switch v, why, err := u.judge(latest, forced); {
	case v != take || err != nil:
		return why, err
	case latest.hash() != o.hash():
		return "", fmt.Errorf("the repository has %s by now", latest.release.Version)
	}
	return "", u.exchange(ctx)
}

// qualify lets the system look at the staged bundle, and then the bundle's
// supervisor prove itself.
func (u *Updater) qualify(ctx context.Context) error {
	if u.env.Verify != nil {
		if err := u.env.Verify(ctx, u.cfg.beside()); err != nil {
			return err
		}
	}
	return u.env.Qualify(ctx, u.cfg.beside())
}

// again is the last look before the exchange: what was taken an hour ago may be
// recalled or expired. A repository that cannot be reached now stops nothing: what
// is held is looked at, unless it is known to be behind.
func (u *Updater) again(ctx context.Context, c *pipe.Client) (offer, error) {
	if changed, err := u.trust.Refresh(time.Now(), c.Get); err != nil && changed {
		return offer{}, err
	}
	if err := cmp.Or(ctx.Err(), u.trust.Expired(time.Now())); err != nil {
		return offer{}, err
	}
	return u.held()
}

// vacate makes room beside the live bundle. Who still runs from there holds the
// release back as sessions do: for a bounded time, and not from a person.
func (u *Updater) vacate(o offer, forced bool) error {
	q := question{now: time.Now(), since: u.rec.Since, maxLease: u.cfg.MaxLease, release: o.release}
	q.lease = q.now.Add(q.maxLease)
	err := u.discard(forced || !q.now.Before(q.leaseEnd()))
	if errors.Is(err, errInUse) && q.since.IsZero() {
		err = errors.Join(err, u.change(func(r *record) { r.Since = q.now.UTC() }))
	}
	return err
}

func (o *offer) fetchSeal(c *pipe.Client) error {
	if o.delivery.SHA256 == "" {
		return errors.New("the repository does not say how it is delivered")
	}
	data, err := c.Get(o.target.File(), min(o.target.Size, maxSeal), "")
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != o.hash() {
		return fmt.Errorf("its seal: %w", pipe.ErrCorrupt)
	}
	if o.seal, err = bundle.ParseSeal(data); err == nil && o.seal.Version != o.release.Version {
		err = fmt.Errorf("its seal says that it is %s", o.seal.Version)
	}
	return err
}

// refuse denies a release that cannot even qualify.
func (u *Updater) refuse(err error) error {
	if f := (*Failure)(nil); errors.As(err, &f) {
		err = errors.Join(err, u.change(func(r *record) { r.deny(f.Error(), its); r.settle(Idle, "") }))
		u.tidy() // what is staged is not wanted any more
	}
	return err
}
