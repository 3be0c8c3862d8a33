//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"portward/internal/bundle"
	"portward/internal/program"
	"portward/internal/status"
)

// serves waits until the installed version is that one, nothing is on trial,
// and every login has frames from a netchild of that bundle.
func (r *running) serves(version string) snapshot {
	r.t.Helper()
	good := bundle.Layout(program.BundleDir(r.root)).Program("netchild")
	var before snapshot
	pid := 0
	return r.until("every login streams from "+version, func(s snapshot) bool {
		p := r.told().Payload
		now := job(s, string(netchildTarget)).PID
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", now))
		if p.Version != version || p.Trial != nil || exe != good {
			pid = 0
			return false
		}
		if now != pid {
			before, pid = s, now
			return false
		}
		return grown(s, before)
	})
}

// denied waits until that version is on the deny list, and answers what the
// list says of it.
func (r *running) denied(version string) status.Denied {
	r.t.Helper()
	var found status.Denied
	r.until(version+" is denied", func(snapshot) bool {
		for _, d := range r.told().Payload.Denied {
			if d.Version == version {
				found = d
				return true
			}
		}
		return false
	})
	return found
}

// leftAlone waits until the supervisor has looked at the repository again and
// has not tried the denied version.
func (r *running) leftAlone(version, good string) {
	r.t.Helper()
	looks, last := 0, r.told().Payload.Checked
	r.until(version+" is left alone", func(snapshot) bool {
		p := r.told().Payload
		if p.Phase == status.Reverting {
			return false // it was denied a moment ago
		}
		if p.Trial != nil || p.Version != "" && p.Version != good {
			r.t.Fatalf("%s is denied, and this is going on: %+v", version, p)
		}
		if p.Checked.After(last) {
			looks, last = looks+1, p.Checked
		}
		return looks >= 1 && p.Deferred != nil && p.Deferred.Version == version && strings.HasPrefix(p.Deferred.Why, "denied: ")
	})
}

// withinPromise is how long the good version may take to serve again after the
// verdict.
const withinPromise = 5 * time.Second

// A badDay is a bad release, and what the deny list says of it.
type badDay struct{ variant, why string }

// converges publishes a bad release and checks that nobody has to do anything.
func (c *ownChannel) converges(r *running, good, version string, bad badDay) {
	c.t.Helper()
	before, ends := r.serves(good), [2]int{r.ends("1"), r.ends("2")}
	c.offer(version, bad.variant)
	d := r.denied(version)
	r.serves(good)
	took := time.Since(d.Time)
	if took > withinPromise {
		c.t.Errorf("%s: %v from the verdict to the first frames of %s", bad.variant, took, good)
	}
	if !strings.HasPrefix(d.Why, bad.why) {
		c.t.Errorf("%s is denied because of %q, want %q", bad.variant, d.Why, bad.why)
	}
	r.leftAlone(version, good)
	after := r.serves(good)
	for i, was := range ends {
		id := strconv.Itoa(i + 1)
		gaps, ends := session(after, id).Gaps-session(before, id).Gaps, r.ends(id)-was
		if gaps > uint64(ends) {
			c.t.Errorf("%s: login %s had %d gaps, and explain lists %d ends:\n%s", bad.variant, id, gaps, ends, r.explain())
		}
	}
	c.t.Logf("%s: %s (%v from the verdict to frames, login 1 has had %d gaps)", bad.variant, d.Why, took.Round(100*time.Millisecond), session(after, "1").Gaps)
	if want := fmt.Sprintf("release denied: %s (%.12s): %s", version, d.Hash, bad.why); strings.Count(r.explain(), want) != 1 {
		c.t.Errorf("explain does not say once %q:\n%s", want, r.explain())
	}
	if left, _ := filepath.Glob(filepath.Join(program.UpdateDir(r.root), "rescue", "*")); len(left) > 0 {
		c.t.Errorf("%s: the rescue job's files are left: %v", bad.variant, left)
	}
}

// Rule: a release that fails in whatever way is undone and denied without a
// person; the good version streams again within the promised time, explain
// names the release and why, and it is not tried again.
func TestBadReleases(t *testing.T) {
	t.Parallel()
	c := openChannel(t, "bad")
	r := c.up(c.d.startNginx(t, ""), upSpec{}, "--trial-window", "2s", "--hang", "500ms")
	r.serves("1.0.0")
	for i, bad := range []badDay{
		{"crash", "crash"},
		{"text", "start-failed"},
		{"hang", "hang/"},
		{"cold", "crash"},
		{"supervisor exits", "unqualified: "},
		{"supervisor is text", "unqualified: "},
		{"fetcher exits", "fetcher: "},
	} {
		c.converges(r, "1.0.0", fmt.Sprintf("1.%d.0", i+1), bad)
	}
	c.offer("2.0.0", "second")
	r.serves("2.0.0")
	r.stop()
}

// Rule: so is one that fails late, within the window, or that never gets ready.
func TestBadReleasesThatTakeTime(t *testing.T) {
	t.Parallel()
	c := openChannel(t, "slow")
	r := c.up(c.d.startNginx(t, ""), upSpec{}, "--trial-window", "6s")
	r.serves("1.0.0")
	c.converges(r, "1.0.0", "1.1.0", badDay{"late", "crash"})
	if !testing.Short() {
		c.converges(r, "1.0.0", "1.2.0", badDay{"never", "never-ready"})
	}
	r.stop()
}

// Rule: a supervisor that qualified and then does nothing, or ends before it
// can count its starts, is undone by the rescue job, which is the program of
// the bundle before.
func TestRescueJob(t *testing.T) {
	t.Parallel()
	c := emptyChannel(t, "rescue")
	c.bin = c.d.binWith(t, "hurried")
	c.offer("1.0.0", "")
	r := c.up(c.d.startNginx(t, ""), upSpec{}, "--trial-window", "1s")
	r.serves("1.0.0")
	for i, variant := range []string{"supervisor hangs", "supervisor quits"} {
		c.converges(r, "1.0.0", fmt.Sprintf("1.%d.0", i+1), badDay{variant, "hang: its supervisor gave no sign of life"})
		if ends := r.endings(string(rescueTarget)); len(ends) == 0 {
			t.Errorf("%s: explain knows no rescue job:\n%s", variant, r.explain())
		}
	}
	r.stop()
}
