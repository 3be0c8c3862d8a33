package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"portward/internal/wire"
)

// leaseVariable makes an agent ask, from its start, not to be disturbed for a
// while: what a product does while somebody is connected, for tests and
// demonstrations.
const leaseVariable = "PORTWARD_LEASE"

// readLease answers until when the environment wants a lease; zero: it does not.
func readLease(now time.Time) (time.Time, error) {
	s := os.Getenv(leaseVariable)
	if s == "" {
		return time.Time{}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > wire.MaxLease {
		return time.Time{}, fmt.Errorf("%s is %q, want a duration of at most %v", leaseVariable, s, wire.MaxLease)
	}
	return now.Add(d), nil
}

// lease asks for what is left of the agent's lease. Each netchild is asked
// anew, for a lease ends with the connection it was asked for on.
func (l *link) lease(ctx context.Context) error {
	if !l.a.lease.After(time.Now()) {
		return nil
	}
	return l.conn.Send(ctx, wire.Lease{Until: l.a.lease}.Dict())
}
