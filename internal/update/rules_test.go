package update

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// Rule: what decides about a release, in order.
func TestJudge(t *testing.T) {
	base := question{
		now: noon, live: "A", version: "2.0.0", payload: true, retained: "R", machine: "m", maxLease: 8 * time.Hour,
		hash: "N", release: Release{Version: "3.0.0", Rollout: Rollout{Share: shares}},
	}
	const denied = "crash"
	for _, c := range []struct {
		name  string
		edit  func(*question)
		want  verdict
		until time.Time
	}{
		{"newer", func(q *question) {}, take, time.Time{}},
		{"the same", func(q *question) { q.hash = "A" }, nothing, time.Time{}},
		{"older", func(q *question) { q.release.Version = "1.0.0" }, nothing, time.Time{}},
		{"older, forced", func(q *question) { q.release.Version, q.forced = "1.0.0", true }, nothing, time.Time{}},
		{"the same version of other content", func(q *question) { q.release.Version = "2.0.0" }, take, time.Time{}},
		{"denied", func(q *question) { q.denial = denied }, wait, time.Time{}},
		{"denied, forced", func(q *question) { q.denial, q.forced = denied, true }, wait, time.Time{}},
		{"denied, nothing runs", func(q *question) { q.denial, q.live = denied, "" }, wait, time.Time{}},
		{"recalled itself", func(q *question) { q.release.Bad, q.forced = []string{"N"}, true }, wait, time.Time{}},
		{"damaged", func(q *question) { q.live, q.version, q.release.Rollout.Share = "", "", 0 }, take, time.Time{}},
		{"halted", func(q *question) { q.release.Rollout.Share = 0 }, wait, time.Time{}},
		{"halted, forced", func(q *question) { q.release.Rollout.Share, q.forced = 0, true }, take, time.Time{}},
		{"halted, a seed runs", func(q *question) { q.release.Rollout.Share, q.payload = 0, false }, wait, time.Time{}},
		{"one in 10000, a seed runs", func(q *question) { q.release.Rollout.Share, q.payload = 1, false }, take, time.Time{}},
		{"not started", func(q *question) { q.release.Rollout.Start = noon.Add(time.Hour) }, wait, time.Time{}},

		{"a lease", func(q *question) { q.lease = noon.Add(time.Hour) }, wait, noon.Add(time.Hour)},
		{"a lease, forced", func(q *question) { q.lease, q.forced = noon.Add(time.Hour), true }, take, time.Time{}},
		{"a lease that ended", func(q *question) { q.lease = noon }, take, time.Time{}},
		{"a lease beyond the bound", func(q *question) { q.lease = noon.Add(24 * time.Hour) }, wait, noon.Add(8 * time.Hour)},
		{"a lease at the bound", func(q *question) { q.lease, q.since = noon.Add(time.Hour), noon.Add(-8*time.Hour) }, take, time.Time{}},
		{"a lease, first held back in the future", func(q *question) { q.lease, q.since = noon.Add(24*time.Hour), noon.Add(1000*time.Hour) }, wait, noon.Add(8 * time.Hour)},
		{"a lease, security", func(q *question) { q.lease, q.release.Security = noon.Add(time.Hour), true }, wait, noon.Add(10 * time.Minute)},
		{"a lease, security, held back", func(q *question) {
			q.lease, q.release.Security, q.since = noon.Add(time.Hour), true, noon.Add(-10*time.Minute)
		}, take, time.Time{}},

		{"what runs is recalled, a good one is there", func(q *question) { q.release.Bad = []string{"A"} }, take, time.Time{}},
		{"what runs is recalled, an older one is there", func(q *question) { q.release.Bad, q.release.Version = []string{"A"}, "1.0.0" }, take, time.Time{}},
		{"what runs is recalled, the retained one is there", func(q *question) { q.release.Bad, q.hash = []string{"A"}, "R" }, goBack, time.Time{}},
		{"what runs is recalled and still there", func(q *question) { q.release.Bad, q.hash = []string{"A"}, "A" }, goBack, time.Time{}},
		{"what runs is recalled, a denied one is there", func(q *question) { q.release.Bad, q.denial = []string{"A"}, denied }, goBack, time.Time{}},
		{"all is recalled", func(q *question) { q.release.Bad, q.hash = []string{"A", "R"}, "A" }, nothing, time.Time{}},
		{"what runs is recalled, nothing is retained", func(q *question) { q.release.Bad, q.hash, q.retained = []string{"A"}, "A", "" }, nothing, time.Time{}},
	} {
		q := base
		c.edit(&q)
		if got, why, until := judge(q); got != c.want || !until.Equal(c.until) {
			t.Errorf("%s: %v (%s) until %v, want %v until %v", c.name, got, why, until, c.want, c.until)
		}
	}
}

// Rule: a share is that share of machines, other ones for another seed, and
// nobody who is in falls out while it grows.
func TestRollout(t *testing.T) {
	count := func(r Rollout, now time.Time) (n int) {
		for i := range 4000 {
			if r.Takes(fmt.Sprint("machine ", i), now) {
				n++
			}
		}
		return n
	}
	r := Rollout{Seed: "s", Share: 2500, Start: noon, Ramp: 3600}
	for _, c := range []struct {
		at       time.Duration
		min, max int
	}{{-time.Second, 0, 0}, {0, 0, 0}, {30 * time.Minute, 400, 600}, {time.Hour, 900, 1100}, {1e6 * time.Hour, 900, 1100}} {
		if n := count(r, noon.Add(c.at)); n < c.min || n > c.max {
			t.Errorf("%d of 4000 after %v, want %d to %d", n, c.at, c.min, c.max)
		}
	}
	other, same := r, 0
	other.Seed = "t"
	for i := range 4000 {
		m := fmt.Sprint("machine ", i)
		if r.Takes(m, noon.Add(30*time.Minute)) && !r.Takes(m, noon.Add(time.Hour)) {
			t.Fatalf("%s fell out", m)
		}
		if r.Takes(m, noon.Add(time.Hour)) && other.Takes(m, noon.Add(time.Hour)) {
			same++
		}
	}
	if same > 400 {
		t.Errorf("another seed picks the same machines: %d of 1000", same)
	}
	if n := count(Rollout{Share: shares}, noon); n != 4000 {
		t.Errorf("all are %d of 4000", n)
	}
}

var badReleases = []string{
	``, `null`, `[]`, `{}`, `{"version":""}`, `{"version":"1"} x`, `{"version":"1","rollout":{"share":-1}}`,
	`{"version":"1","rollout":{"share":10001}}`, `{"version":"1","rollout":{"ramp":-1}}`,
	`{"version":"1","rollout":{"ramp":1e18}}`, `{"version":"1","bad":["x"]}`,
	`{"version":"1","history":["` + strings.Repeat("A", 64) + `"]}`,
	`{"version":"` + strings.Repeat("1", 65) + `"}`, `{"version":"1","rollout":{"seed":"` + strings.Repeat("s", 129) + `"}}`,
	`{"version":"1","x":"` + strings.Repeat("s", maxRelease) + `"}`,
}

// Rule: a word that is not one is refused, whoever signed it.
func TestParseReleaseRefuses(t *testing.T) {
	for _, bad := range badReleases {
		if r, err := ParseRelease([]byte(bad)); err == nil {
			t.Errorf("%.80s is %+v", bad, r)
		}
	}
	if _, err := ParseRelease([]byte(`{"version":"1.2.3","rollout":{"share":1},"later":true}`)); err != nil {
		t.Error(err)
	}
}

func FuzzParseRelease(f *testing.F) {
	for _, s := range append(badReleases, `{"version":"1.2.3","rollout":{"seed":"s","share":5000,"start":"2026-01-01T00:00:00Z","ramp":60}}`) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRelease(data)
		if err != nil {
			return
		}
		if n := r.Rollout.share(noon); n < 0 || n > shares {
			t.Errorf("a share of %d", n)
		}
	})
}
