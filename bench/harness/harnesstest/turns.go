// Package harnesstest knows how to try the cases of a room, one turn each. It must
// never know what they measure.
package harnesstest

import (
	"errors"
	"math"
	"testing"
	"time"

	"portward/bench/harness"
)

// Env answers an Env of the test's own.
func Env(t *testing.T) harness.Env {
	t.Helper()
	env, err := harness.NewEnv(t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { env.Close() })
	return env
}

// Turns checks that each contestant of the groups answers figures, which are finite
// and positive, or says why it is absent.
func Turns(t *testing.T, groups []harness.Group) {
	t.Helper()
	for _, g := range groups {
		t.Run(g.Name, func(t *testing.T) {
			for _, c := range g.Cases {
				try(t, c)
			}
		})
	}
}

// try gives one case one turn.
func try(t *testing.T, c harness.Case) {
	t.Helper()
	began := time.Now()
	turn, err := c.Open(t.Context())
	if absent := harness.Absent(""); errors.As(err, &absent) {
		t.Logf("%s: %v", c.Name, absent)
		return
	}
	if err != nil {
		t.Errorf("%s: %v", c.Name, err)
		return
	}
	defer func() {
		if turn.Close == nil {
			return
		}
		if err := turn.Close(); err != nil {
			t.Errorf("%s: closing: %v", c.Name, err)
		}
	}()
	samples, err := turn.Sample(t.Context(), 0)
	if err != nil || len(samples) == 0 {
		t.Errorf("%s: %d samples, %v", c.Name, len(samples), err)
	}
	for _, s := range samples {
		if !(s > 0) || math.IsInf(s, 0) {
			t.Errorf("%s: a sample of %v", c.Name, s)
		}
	}
	t.Logf("%s: %v", c.Name, time.Since(began).Round(time.Millisecond))
}
