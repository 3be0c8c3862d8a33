package update

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/status"
)

// Pauses that are nobody's configuration.
const (
	startPause = 3 * time.Second // before the first check, so that a start disturbs nobody
	retryPause = 5 * time.Second // between attempts to write what has to be written

	reportEvery = time.Hour // what is derived from the time is told anew, whoever can be reached
	checkWithin = time.Hour // a check, download and all; the next one goes on where it ended
)

// An Updater owns the installed bundle and the journal. Ask and Lease may be
// called from any goroutine; the other methods before Run, or inside the calls
// that Run makes.
type Updater struct {
	cfg   Config
	env   Env
	trust Trust
	inbox *inbox

	rec      record // as it is on the disk
	sight    sight  // what lies there
	onTrial  bool
	asked    string         // the request that is served
	pay      status.Payload // the part that is told and not derived
	reported time.Time
	stamped  time.Time // the latest sign of life
}

// Open is the first thing that a supervisor does: it looks at what lies there,
// byte by byte, and sets right what a crash left behind. ErrHandOver says that
// this process does not belong to the live bundle any more.
func Open(cfg Config, env Env, trust Trust) (*Updater, error) {
	err := durable.MkdirAll(filepath.Dir(cfg.RetainedSeal), 0o755)
	for _, dir := range []string{cfg.Dir, filepath.Dir(cfg.beside()), cfg.rescueDir()} {
		err = errors.Join(err, durable.MkdirAll(dir, 0o700))
	}
	u := &Updater{cfg: cfg, env: env, trust: trust, inbox: newInbox()}
	if err == nil {
		err = u.recover()
	}
	if err != nil {
		return nil, err
	}
	u.tidy() // what cannot be done now is tried again before the next update
	if u.rec.State == Reverted {
		u.pay.Error = u.rec.Reason
	}
	if u.onTrial || u.rec.State == Reverted {
		u.answer(u.rec.Asked, "", ErrHandOver) // the process that was asked is gone
	}
	for _, id := range u.rec.Unserved {
		u.answer(id, "", errAskAgain)
	}
	u.phase(status.Idle)
	return u, nil
}

// Live answers the verified seal of the live bundle, nil when it is damaged.
func (u *Updater) Live() *bundle.Seal { return u.sight.live.seal }

// OnTrial says whether the live bundle has still to prove itself.
func (u *Updater) OnTrial() bool { return u.onTrial }

// hasPayload: the live bundle is more than a seed, which only updates itself.
func (u *Updater) hasPayload() bool {
	return u.sight.live.seal != nil && u.sight.live.seal.Has("netchild")
}

// Run owns the state until ctx ends, or until another bundle has the live
// place, ErrHandOver. Other errors are of those who watch a trial.
func (u *Updater) Run(ctx context.Context) (err error) {
	defer func() { u.leave(ctx, err) }()
	for u.onTrial {
		if err := u.trial(ctx); err != nil {
			return err
		}
	}
	if err := u.calm(ctx); err != nil {
		return err
	}
	if u.plan(min(startPause, u.cfg.Every)); !u.hasPayload() {
		u.plan(0) // who has nothing to run does not wait
	}
	timer := time.NewTimer(u.nextLook())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			if u.report(); u.nextLook() <= 0 {
				err = u.serve(ctx, Request{Op: "update"})
			}
		case <-u.inbox.wake:
			err = u.wake(ctx)
		}
		if errors.Is(err, ErrHandOver) || ctx.Err() != nil {
			return err
		}
		timer.Reset(u.nextLook())
	}
}

// calm does what belongs behind a trial, whoever ended it: the rescue job
// goes, and after a revert so does every process of the bundle that was bad.
func (u *Updater) calm(ctx context.Context) error {
	if err := u.disarmRescue(ctx); err != nil {
		u.pay.Error = err.Error()
	}
	if u.rec.State == Reverted && u.rec.Cold != done {
		if err := u.env.Stop(ctx); err != nil {
			return err
		}
		if err := u.persist(ctx, func(r *record) { r.Cold, r.Asked = done, "" }); err != nil {
			return err
		}
	}
	u.tidy()
	u.phase(status.Idle)
	return nil
}

// wake answers all requests, and looks again if a session has let go.
func (u *Updater) wake(ctx context.Context) error {
	for r, ok := u.inbox.next(); ok; r, ok = u.inbox.next() {
		if err := u.serve(ctx, r); errors.Is(err, ErrHandOver) {
			return err
		}
	}
	if d := u.pay.Deferred; d != nil && !d.Until.IsZero() && !time.Now().Before(u.inbox.lease()) {
		return u.serve(ctx, Request{Op: "update"})
	}
	return nil
}

// errAskAgain answers a request that came too late for this process, and that the
// next one does not know.
var errAskAgain = errors.New("the supervisor ended before it came to this; ask again")

// leave is the end of Run. It answers who would wait for ever, here and by the
// next process, and holds neither an orderly stop nor what was the machine's fault
// against a release on trial.
func (u *Updater) leave(ctx context.Context, end error) {
	var ids []string
	for r, ok := u.inbox.next(); ok && len(ids) < maxTold; r, ok = u.inbox.next() {
		ids = append(ids, r.ID)
		u.answer(r.ID, "", errAskAgain)
	}
	u.change(func(r *record) {
		switch r.Unserved = ids; {
		case r.State != OnTrial || end == nil || errors.Is(end, ErrHandOver):
		case ctx.Err() != nil:
			r.uncount()
		default:
			r.stumble(end)
		}
	})
	u.report()
}

// serve does what is asked and answers it. Who wanted a release that was not
// taken did not get it, though nothing went wrong.
func (u *Updater) serve(ctx context.Context, r Request) error {
	u.asked = r.ID
	text, err := u.do(ctx, r)
	u.asked = ""
	if err == nil && u.pay.Deferred != nil && (r.Op == "update" || r.Op == "force") {
		u.answer(r.ID, "", errors.New(text))
	} else {
		u.answer(r.ID, text, err)
	}
	u.phase(status.Idle)
	return err
}

func (u *Updater) do(ctx context.Context, r Request) (string, error) {
	switch r.Op {
	case "update", "check", "force":
		return u.look(ctx, r)
	case "rollback":
		if old := u.sight.beside.seal; old != nil && !old.Has("netchild") {
			return "", fmt.Errorf("%w: before this release there was none", errNoWayBack)
		}
		return "", u.revert("rolled back by a person", its)
	case "unblock":
		return u.unblock(r.Arg)
	}
	return "", fmt.Errorf("no operation %q", r.Op)
}

// look checks, and plans the next check.
func (u *Updater) look(ctx context.Context, r Request) (string, error) {
	switch {
	case u.onTrial:
		return "", errors.New(u.rec.ToVersion + " is on trial")
	case !u.cfg.Repo:
		return "", errors.New("there is no repository to look at")
	}
	asked, stop := u.inbox.interruptible(ctx)
	defer stop()
	checking, end := context.WithTimeout(asked, checkWithin)
	defer end()
	text, err := u.check(checking, r)
	switch {
	case err == nil || errors.Is(err, ErrHandOver):
		u.pay.Error = ""
		u.cfg.Backoff.Reset()
		u.plan(u.cfg.Every)
	case asked.Err() != nil: // a more urgent request, or the end
		u.plan(startPause)
	default:
		if checking.Err() != nil {
			err = fmt.Errorf("not done after %v: %w", checkWithin, err)
		}
		u.pay.Error = err.Error()
		u.plan(min(u.cfg.Backoff.NextBackOff(), u.cfg.Every))
	}
	if d := u.pay.Deferred; d != nil && d.Until.After(time.Now()) && d.Until.Before(u.pay.Next) {
		u.pay.Next = d.Until
	}
	return text, err
}

// unblock lets a version be tried again, or the one release whose hash begins so.
func (u *Updater) unblock(which string) (string, error) {
	named := func(d status.Denied) bool {
		return d.Version == which || len(which) >= 8 && strings.HasPrefix(d.Hash, which)
	}
	hits := slices.DeleteFunc(slices.Clone(u.rec.Denied), func(d status.Denied) bool { return !named(d) })
	switch {
	case which == "" || len(hits) == 0:
		return "", fmt.Errorf("no release %q is denied", which)
	case len(hits) > 1 && hits[0].Version != which:
		return "", fmt.Errorf("%d denied releases begin with %q", len(hits), which)
	}
	err := u.change(func(r *record) { r.Denied = slices.DeleteFunc(r.Denied, named) })
	if err == nil {
		u.plan(0)
	}
	return hits[0].Version + " may be tried again", err
}

// plan sets the next check, a tenth earlier or later so that not all machines
// come at once.
func (u *Updater) plan(d time.Duration) {
	if u.cfg.Repo {
		u.pay.Next = time.Now().Add(d + time.Duration((rand.Float64()-0.5)*float64(d)/5))
	}
}

// nextLook is how long nothing happens by itself.
func (u *Updater) nextLook() time.Duration {
	if !u.cfg.Repo {
		return reportEvery
	}
	return min(time.Until(u.pay.Next), reportEvery)
}

// persist changes the journal, for as long as it takes: who goes on without
// would do something twice, or not at all.
func (u *Updater) persist(ctx context.Context, edit func(*record)) error {
	for {
		err := u.change(edit)
		if err == nil || errors.Is(err, ErrHandOver) {
			return err
		}
		u.pay.Error = err.Error()
		u.report()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPause):
		}
	}
}
