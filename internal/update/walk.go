package update

import (
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
// names it. The seal is there once it was fetched.
type offer struct {
	release   Release
	hash      string // of the seal's target: the release's identity
	size      int64
	name      string // of the target's file in the repository
	delivery  pipe.Target
	delivered bool // delivery is there
	seal      *bundle.Seal
	bytes     []byte
}

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
	if err != nil || v == nothing || v == wait {
		return text, err
	}
	if r.Op == "check" {
		return o.release.Version + " is available", nil
	}
	if v == goBack {
		return "", u.revert(text)
	}
	text, err = u.take(ctx, c, o, r.Op == "force")
	if errors.Is(err, errInUse) {
		u.pay.Deferred = &status.Deferred{Version: o.release.Version, Why: err.Error()}
		return err.Error(), nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", o.release.Version, err)
	}
	return text, err
}

// offered brings the metadata up to date; an idle check ends here, after one
// small request.
func (u *Updater) offered(c *pipe.Client) (offer, error) {
	now := time.Now()
	_, err := u.trust.Refresh(now, c.Get)
	u.pay.Warnings = u.trust.Warnings(now)
	if err != nil {
		return offer{}, err
	}
	u.pay.Checked = now
	t, ok := u.trust.Target(SealName(u.cfg.Channel, u.cfg.Platform))
	if !ok {
		return offer{}, fmt.Errorf("the repository has nothing for %s on channel %s", u.cfg.Platform, u.cfg.Channel)
	}
	o := offer{hash: t.SHA256, size: t.Size, name: inRepository(t)}
	o.delivery, o.delivered = u.trust.Target(DeliveryName(u.cfg.Channel, u.cfg.Platform))
	o.release, err = ParseRelease(t.Custom)
	return o, err
}

// judge asks the rules about o and shows what they say.
func (u *Updater) judge(o offer, forced bool) (verdict, string, error) {
	q := question{
		now: time.Now(), live: u.sight.live.hash, version: u.sight.live.version(), payload: u.hasPayload(),
		denied: u.rec.Denied, machine: u.cfg.Machine, forced: forced, lease: u.inbox.lease(), maxLease: u.cfg.MaxLease,
		hash: o.hash, release: o.release,
	}
	if u.retainedIsGood() {
		q.retained = u.sight.previous.hash
	}
	if u.rec.Waiting == o.hash {
		q.since = u.rec.Since
	}
	v, why, until := judge(q)
	u.pay.Deferred = nil
	if v != wait {
		if why == "" {
			why = u.sight.live.version() + " is up to date"
		}
		return v, why, nil
	}
	u.pay.Deferred = &status.Deferred{Version: o.release.Version, Why: why, Until: until}
	if !until.IsZero() && (q.since.IsZero() || q.since.After(q.now)) {
		return v, why, u.change(func(r *record) { r.Waiting, r.Since = o.hash, q.now.UTC() })
	}
	return v, why, nil
}

// take fetches, stages, verifies, qualifies and exchanges: everything that can
// fail comes before the exchange, and leaves the live bundle alone. A text
// without an error says why what is staged waits: a session began meanwhile.
func (u *Updater) take(ctx context.Context, c *pipe.Client, o offer, forced bool) (string, error) {
	if err := u.trust.Expired(time.Now()); err != nil {
		return "", err
	}
	if err := u.fetchSeal(c, &o); err != nil {
		return "", err
	}
	if err := u.makeRoom(o); err != nil {
		return "", err
	}
	if err := u.change(func(r *record) { r.begin(u.sight.live, o) }); err != nil {
		return "", err
	}
	u.phase(status.Staging)
	staged, err := u.stage(ctx, c, o)
	u.sight.staging = staged
	if err != nil {
		return "", err
	}
	if err := u.change(func(r *record) { r.State = Staged }); err != nil {
		return "", err
	}
	u.phase(status.Qualifying)
	if err := u.env.Qualify(ctx, staged.path); err != nil {
		return "", u.refuse(err)
	}
	if v, why, err := u.judge(o, forced); v != take || err != nil {
		return why, err
	}
	return "", u.exchange(ctx, staged)
}

// begin writes down what is about to replace what.
func (r *record) begin(live place, o offer) {
	r.settle(Verified, "")
	r.From, r.FromVersion, r.To, r.ToVersion = live.hash, live.version(), o.hash, o.release.Version
}

func (u *Updater) fetchSeal(c *pipe.Client, o *offer) error {
	if !o.delivered {
		return errors.New("the repository does not say how it is delivered")
	}
	data, err := c.Get(o.name, min(o.size, maxSeal), "")
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != o.hash {
		return fmt.Errorf("its seal: %w", pipe.ErrCorrupt)
	}
	o.bytes = data
	if o.seal, err = bundle.ParseSeal(data); err != nil {
		return err
	}
	if o.seal.Version != o.release.Version {
		return fmt.Errorf("its seal says that it is %s", o.seal.Version)
	}
	return nil
}

// makeRoom removes the retained bundle, for there is never more than one beside
// the live one, and what was staged of another release.
func (u *Updater) makeRoom(o offer) error {
	if err := u.tidy(); err != nil {
		return err
	}
	if u.rec.To != o.hash {
		if err := u.discard(&u.sight.staging); err != nil {
			return err
		}
	}
	if err := u.discard(&u.sight.previous); err != nil {
		return err
	}
	return u.copyRetainedSeal(u.sight.previous)
}

// refuse denies a release that cannot even qualify.
func (u *Updater) refuse(err error) error {
	if f := (*Failure)(nil); errors.As(err, &f) {
		err = errors.Join(err, u.change(func(r *record) { r.deny(f.Error()); r.settle(Idle, "") }))
		u.tidy() // what is staged is not wanted any more
	}
	return err
}
