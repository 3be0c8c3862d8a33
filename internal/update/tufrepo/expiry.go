package tufrepo

import (
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

const day = 24 * time.Hour

// How long what is signed is good for.
const (
	rootLife      = 365 * day
	targetsLife   = 90 * day
	snapshotLife  = 30 * day
	timestampLife = 7 * day
)

// An Expiry is when a role's metadata ends.
type Expiry struct {
	Role    string
	Version int64
	Expires time.Time
}

// Warn answers one line for each role that ends soon, or has ended. What people
// sign by hand is told of 30, 14 and 7 days before. What a machine signs every
// day is told of when it has not for days, or the warning would never go away.
func Warn(exp []Expiry, now time.Time) []string {
	var list []string
	for _, e := range exp {
		if text := e.warning(now); text != "" {
			list = append(list, text)
		}
	}
	return list
}

// warning keeps its words between two steps: a log tells it three times.
func (e Expiry) warning(now time.Time) string {
	on := e.Expires.UTC().Format(time.DateOnly)
	if now.After(e.Expires) {
		return fmt.Sprintf("%s.json version %d expired on %s: nothing is installed until it is renewed", e.Role, e.Version, on)
	}
	for _, days := range e.steps() {
		if e.Expires.Sub(now) <= time.Duration(days)*day {
			return fmt.Sprintf("%s.json version %d expires within %d days, on %s", e.Role, e.Version, days, on)
		}
	}
	return ""
}

// steps are days, fewest first.
func (e Expiry) steps() []int {
	switch e.Role {
	case metadata.TIMESTAMP:
		return []int{1, 3}
	case metadata.SNAPSHOT:
		return []int{7, 14}
	}
	return []int{7, 14, 30}
}
