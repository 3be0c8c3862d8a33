package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"portward/proof/crash"
	"portward/proof/medium"
	"portward/proof/subject"
)

// ail lets the disk answer EIO to each request of an update, once or from then
// on. The update is tried again on the same machine; then the power is cut, and
// what the disk was never told to keep is gone.
func (b *bench) ail(name string, s subject.Subject, limit time.Duration) ([]report, error) {
	r, err := b.record(s, false)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", b.kind.Name, name, err)
	}
	requests := 0
	for _, one := range r.log {
		if one.Kind != medium.Mark {
			requests++
		}
	}
	var reports []report
	for i, what := range []string{"disk EIO", "disk EIO for good"} {
		began := time.Now()
		order := rand.New(rand.NewPCG(b.seed, uint64(i))).Perm(requests)
		t := pool(b.drives, turns(order), began.Add(limit), func(d *medium.Drive, n turn) (string, error) {
			return b.suffer(d, r.base, s, int(n), i == 1)
		})
		reports = append(reports, report{b.kind.Name, name + ": " + what, requests, t, time.Since(began)})
	}
	return reports, nil
}

func (b *bench) suffer(d *medium.Drive, base *medium.Image, s subject.Subject, n int, lasting bool) (string, error) {
	d.Load(base)
	if err := d.Mount(); err != nil {
		return "", err
	}
	asked := -1
	d.Fail(func(medium.Record) bool {
		asked++
		return asked == n || lasting && asked > n
	})
	promise := actTwice(d.Root(), s)
	kept := crash.Kept(base, d.Log())
	d.Fail(nil)
	if err := d.Unmount(); err != nil {
		return "", err
	}
	d.Load(kept)
	if err := d.Mount(); err != nil {
		return "", fmt.Errorf("%w: %w", errMount, err)
	}
	which, err := b.fixture.Check(d.Root(), s, promise)
	if err == nil {
		err = b.fixture.Converge(d.Root(), s)
	}
	return which, errors.Join(err, d.Unmount())
}

// actTwice answers what was promised by the act that came to its end. One that
// did not may have promised what its last fsync could not keep, and the error of
// that fsync is why it did not come to its end.
func actTwice(root string, s subject.Subject) string {
	for range 2 {
		promise := ""
		err := s.Act(root, func(which string) { promise = which })
		if err == nil && promise != "" { // without one it was there before
			return promise
		}
	}
	return subject.Unsure
}
