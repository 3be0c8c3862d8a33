package tufrepo

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// maxRoles bounds one search.
const maxRoles = 32

// Found is a target as any signer of any repository may describe it.
type Found struct {
	Name   string
	Size   int64
	Hashes []string                // lower-case hex, any algorithm, sorted
	Check  func(data []byte) error // are these its bytes
}

// Find looks a target up in the trusted targets and in what they delegate to,
// depth first, in the order of the signers (specification 5.6.7). Our own
// repositories delegate nothing, and the product never calls it; a client of
// other repositories, the conformance suite's for one, does. Each search checks
// each role against the one that led to it, so nothing is kept; kept is told
// what was taken.
func (t *Trust) Find(now time.Time, name string, get Get, kept func(role string, raw []byte)) (Found, error) {
	s := &search{walk: walk{Trust: t, now: now, get: get}, kept: kept}
	if err := s.recall(); err != nil {
		return Found{}, err
	}
	seen := map[string]bool{}
	for pending := []step{{metadata.TARGETS, metadata.ROOT}}; len(pending) > 0 && len(seen) < maxRoles; {
		next := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if seen[next.role] {
			continue
		}
		seen[next.role] = true
		role, err := s.take(next)
		if err != nil {
			return Found{}, err
		}
		if f := role.Targets[name]; f != nil {
			return foundOf(name, f), nil
		}
		pending = next.after(pending, role, name)
	}
	return Found{}, fmt.Errorf("no target %q", name)
}

// A step is a role and who delegates to it.
type step struct{ role, by string }

// after puts a role's delegations before what is to be done still, or in its
// place when one of them ends the search.
func (s step) after(pending []step, role *metadata.TargetsType, name string) []step {
	if role.Delegations == nil {
		return pending
	}
	var steps []step
	for _, r := range role.Delegations.GetRolesForTarget(name) {
		steps = append(steps, step{r.Name, s.role})
		if r.Terminating {
			pending = nil
			break
		}
	}
	slices.Reverse(steps)
	return append(pending, steps...)
}

// A search is a walk that goes on below the targets.
type search struct {
	walk
	kept func(role string, raw []byte)
}

// recall has go-tuf's rules know what is held.
func (s *search) recall() (err error) {
	if !s.whole() {
		return errors.New("the metadata is not complete: refresh first")
	}
	if err := s.Expired(s.now); err != nil {
		return err
	}
	if s.rules, err = trustedmetadata.New(s.root().raw); err != nil {
		return err
	}
	s.rules.RefTime = s.refTime(s.now)
	if _, err = s.rules.UpdateTimestamp(s.timestamp.raw); err == nil {
		_, err = s.rules.UpdateSnapshot(s.snapshot.raw, true)
	}
	if err == nil {
		_, err = s.rules.UpdateTargets(s.targets.raw)
	}
	return err
}

// take fetches a delegated role; the targets themselves are there.
func (s *search) take(next step) (*metadata.TargetsType, error) {
	if held := s.rules.Targets[next.role]; held != nil {
		return &held.Signed, nil
	}
	meta := s.rules.Snapshot.Signed.Meta[next.role+".json"]
	if meta == nil {
		return nil, fmt.Errorf("the snapshot does not list the role %q", next.role)
	}
	file := versioned(meta.Version, url.PathEscape(next.role))
	raw, err := s.fetch(file, bound(meta.Length, maxTargets), nil)
	if err != nil {
		return nil, err
	}
	md, err := parse[metadata.TargetsType](raw)
	if err == nil {
		_, err = s.rules.UpdateDelegatedTargets(raw, next.role, next.by)
	}
	if err != nil {
		return nil, refuse(inRepo(file), err)
	}
	s.kept(next.role, raw)
	return &md.Signed, nil
}

func foundOf(name string, f *metadata.TargetFiles) Found {
	out := Found{Name: name, Size: f.Length, Check: f.VerifyLengthHashes}
	for _, h := range f.Hashes {
		out.Hashes = append(out.Hashes, hex.EncodeToString(h))
	}
	slices.Sort(out.Hashes)
	return out
}
