package update

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of a Release.
const (
	maxRelease = 64 << 10
	maxHashes  = 256
	shares     = 10000
)

// A Release is what a publisher says of one release: the signed custom part of
// the target that is its seal.
type Release struct {
	Version  string   `json:"version"`            // the seal's
	Security bool     `json:"security,omitempty"` // sessions may hold it back for 10 minutes at most
	Rollout  Rollout  `json:"rollout"`
	Bad      []string `json:"bad,omitempty"`     // hashes of seals that must not run: recalled
	History  []string `json:"history,omitempty"` // hashes of the seals of earlier releases, newest first
}

// A Rollout says which machines take a release, and when. Each decides for
// itself, by its own id; a new seed picks other machines to be the first.
type Rollout struct {
	Seed  string    `json:"seed"`
	Share int       `json:"share"`          // of 10000 machines; 0: the release is halted
	Start time.Time `json:"start,omitzero"` // nobody takes it earlier
	Ramp  Seconds   `json:"ramp,omitempty"` // from nobody at Start to the full share
}

// Seconds is a duration as signed files write it: whole seconds.
type Seconds int64

// ParseRelease reads a Release. Fields it does not know are skipped, so that a
// later publisher may say more.
func ParseRelease(data []byte) (Release, error) {
	var r Release
	if len(data) > maxRelease {
		return r, fmt.Errorf("release: more than %d bytes", maxRelease)
	}
	err := json.Unmarshal(data, &r)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Release{}, fmt.Errorf("release: %w", err)
	}
	return r, nil
}

func (r Release) check() error {
	switch {
	case r.Version == "" || len(r.Version) > 64:
		return fmt.Errorf("a version of %d bytes", len(r.Version))
	case r.Rollout.Share < 0 || r.Rollout.Share > shares:
		return fmt.Errorf("a share of %d, not of %d", r.Rollout.Share, shares)
	case r.Rollout.Ramp < 0 || r.Rollout.Ramp > 366*24*3600:
		return fmt.Errorf("a ramp of %d seconds", r.Rollout.Ramp)
	case len(r.Rollout.Seed) > 128:
		return errors.New("a seed too long")
	case len(r.Bad) > maxHashes || len(r.History) > maxHashes:
		return fmt.Errorf("more than %d hashes", maxHashes)
	}
	for _, h := range slices.Concat(r.Bad, r.History) {
		if len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
			return fmt.Errorf("%q is no hash of a seal", h)
		}
	}
	return nil
}

// Takes says whether this machine's turn has come.
func (r Rollout) Takes(machine string, now time.Time) bool {
	sum := sha256.Sum256([]byte(r.Seed + machine))
	return int64(binary.BigEndian.Uint64(sum[:8])%shares) < r.share(now)
}

func (r Rollout) share(now time.Time) int64 {
	since := int64(now.Sub(r.Start) / time.Second)
	switch {
	case r.Start.IsZero():
		return int64(r.Share)
	case now.Before(r.Start):
		return 0
	case since >= int64(r.Ramp):
		return int64(r.Share)
	}
	return int64(r.Share) * since / int64(r.Ramp)
}

// SealName answers the name of the target that is the seal of a channel's
// present release.
func SealName(channel, platform string) string { return channel + "/" + platform + "/seal.json" }

// DeliveryName answers the name of the target that says how its files are
// delivered.
func DeliveryName(channel, platform string) string {
	return channel + "/" + platform + "/delivery.json"
}
