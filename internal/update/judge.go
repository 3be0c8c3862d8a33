package update

import (
	"slices"
	"time"

	"portward/internal/bundle"
)

// securityLease is how long sessions may hold back a security release.
const securityLease = 10 * time.Minute

// A question is all that decides about a release.
type question struct {
	now      time.Time
	live     string // the hash of what runs; empty: it is damaged
	version  string // its version
	payload  bool   // it is more than a seed
	retained string // the hash of the whole bundle to go back to, if there is one
	machine  string
	forced   bool      // a person wants it now
	lease    time.Time // until when sessions ask not to be disturbed
	since    time.Time // when sessions began to hold back releases
	maxLease time.Duration

	hash    string // of the release's seal
	denial  string // why it is not to be tried, if it is not
	release Release
}

type verdict string

const (
	nothing verdict = "nothing" // what runs is what shall run
	wait    verdict = "wait"    // a release is known, its time has not come
	take    verdict = "take"
	goBack  verdict = "go back" // what runs is recalled, what is retained is better
)

const upToDate = " is up to date"

// judge answers what to do about a release. Why is for people; until, the
// latest time to judge again, may be zero.
func judge(q question) (v verdict, why string, until time.Time) {
	recalled := slices.Contains(q.release.Bad, q.live)
	good := !slices.Contains(q.release.Bad, q.hash)
	switch {
	case recalled && q.retained != "" && (q.retained == q.hash || q.hash == q.live || !good || q.denial != "" || q.release.Rollout.Share == 0) &&
		!slices.Contains(q.release.Bad, q.retained):
		return goBack, q.version + " is recalled", until
	case q.hash == q.live && recalled:
		return nothing, "what is installed is recalled, and nothing good is retained", until
	case q.hash == q.live:
		return nothing, q.version + upToDate, until
	case !good:
		return wait, "it is recalled", until
	case q.denial != "":
		return wait, "denied: " + q.denial, until
	case recalled && q.release.Rollout.Share > 0 || q.live == "":
	case q.payload && bundle.Compare(q.release.Version, q.version) < 0:
		return nothing, q.version + upToDate, until
	case q.forced:
	case !q.payload && q.release.Rollout.Share > 0: // nothing that runs could be disturbed or kept
	case !q.release.Rollout.Takes(q.machine, q.now):
		return wait, "it is not this machine's turn yet", until
	default:
		if until = q.leaseEnd(); q.now.Before(until) {
			return wait, "a session is not to be disturbed", until
		}
	}
	return take, q.release.Version + " is available", time.Time{}
}

// leaseEnd is bounded from when a release was first held back, so that no chain
// of leases, nor one of releases, holds the next for ever.
func (q question) leaseEnd() time.Time {
	bound := q.maxLease
	if q.release.Security {
		bound = min(bound, securityLease)
	}
	since := q.since
	if since.IsZero() || since.After(q.now) {
		since = q.now
	}
	if end := since.Add(bound); end.Before(q.lease) {
		return end
	}
	return q.lease
}
