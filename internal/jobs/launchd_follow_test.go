package jobs

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inFollowed runs a test in a bubble with an engine that follows system/test.a, once
// with a launchd that counts runs and once with one that does not. told answers what
// Watch has reported since it was asked last.
func inFollowed(t *testing.T, f func(t *testing.T, f *fakeLaunchd, l *Launchd, told func() string)) {
	for name, counts := range map[string]bool{"counts": true, "does not count": false} {
		t.Run(name, func(t *testing.T) {
			inLaunchd(t, LaunchdOptions{Follow: []Target{testA}}, func(t *testing.T, fake *fakeLaunchd, l *Launchd) {
				fake.mu.Lock()
				fake.counts = counts
				fake.mu.Unlock()
				time.Sleep(5 * time.Second)
				events, err := l.Watch(t.Context())
				want(t, err, nil)
				f(t, fake, l, func() string {
					synctest.Wait()
					var all []string
					for len(events) > 0 {
						e := <-events
						line := fmt.Sprintf("%v %d", e.Kind, e.Life)
						if e.Kind == Exited {
							line += fmt.Sprintf(" %v", e.Exit)
						}
						if e.Target != testA || e.Kind == Started && e.PID == 0 {
							t.Errorf("%+v", e)
						}
						all = append(all, line)
					}
					return strings.Join(all, ", ")
				})
			})
		})
	}
}

func wantTold(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// Rule: a life of a job that is followed is reported with its number: its start by
// the next poll, and its end at once and with how it was, once launchd knows it.
func TestLaunchdFollows(t *testing.T) {
	inFollowed(t, func(t *testing.T, f *fakeLaunchd, l *Launchd, told func() string) {
		pid := f.starts(fakeA)
		time.Sleep(2 * time.Second)
		wantTold(t, told(), "started 1")
		st, err := l.State(t.Context(), testA)
		if want(t, err, nil); st.Life != 1 || st.PID != pid || st.Restarts != 0 || st.Since.IsZero() || st.Status != Running {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Minute)
		f.dies(fakeA, 9)
		time.Sleep(time.Second)
		wantTold(t, told(), "exited 1 signal 9")
		f.starts(fakeA)
		time.Sleep(2 * time.Second)
		f.dies(fakeA, 0)
		time.Sleep(time.Second)
		wantTold(t, told(), "started 2, exited 2 exit 0")
		st, err = l.State(t.Context(), testA)
		if want(t, err, nil); st.Life != 2 || st.PID != 0 || st.Restarts != 1 || st.Status != Waiting {
			t.Errorf("%+v", st)
		}
	})
}

// Rule: whoever asks has the news queued before the answer: the end of a life, then
// the start of the next one, which a client has brought about meanwhile.
func TestLaunchdFollowsWhoAsks(t *testing.T) {
	inFollowed(t, func(t *testing.T, f *fakeLaunchd, l *Launchd, told func() string) {
		want(t, l.Kickstart(t.Context(), testA, false), nil)
		wantTold(t, told(), "started 1")
		f.dies(fakeA, 256)
		f.starts(fakeA)
		st, err := l.State(t.Context(), testA)
		if want(t, err, nil); st.Life != 2 {
			t.Errorf("%+v", st)
		}
		wantTold(t, told(), "exited 1 exit 1, started 2")
		want(t, l.Kickstart(t.Context(), testA, true), nil)
		wantTold(t, told(), "exited 2 exit 1, started 3")
	})
}

// Rule: a life that nobody could see is reported by its end; each of them where
// launchd counts, and elsewhere one that ended unlike the one before.
func TestLaunchdFollowsTheUnseen(t *testing.T) {
	inFollowed(t, func(t *testing.T, f *fakeLaunchd, l *Launchd, told func() string) {
		f.flashes(fakeA, 512)
		time.Sleep(3 * time.Second)
		wantTold(t, told(), "exited 1 exit 2")
		f.flashes(fakeA, 512)
		time.Sleep(3 * time.Second)
		got := told()
		if f.counts {
			wantTold(t, got, "exited 2 exit 2")
			for range 100 {
				f.flashes(fakeA, 512)
			}
			time.Sleep(3 * time.Second)
			if n := strings.Count(told(), "exited"); n != maxMissed {
				t.Errorf("%d of a hundred were told", n)
			}
		} else {
			wantTold(t, got, "")
		}
		time.Sleep(time.Hour)
		wantTold(t, told(), "")
	})
}

// Rule: an end that nobody saw with the code of a missing program is a start that
// failed.
func TestLaunchdFollowsFailedStart(t *testing.T) {
	inFollowed(t, func(t *testing.T, f *fakeLaunchd, l *Launchd, told func() string) {
		f.flashes(fakeA, configExit<<8)
		time.Sleep(3 * time.Second)
		wantTold(t, told(), "start-failed 1")
		f.starts(fakeA)
		time.Sleep(3 * time.Second)
		f.dies(fakeA, configExit<<8)
		time.Sleep(3 * time.Second)
		wantTold(t, told(), "started 2, exited 2 exit 78")
	})
}

// Rule: what runs already when the engine begins is in State, with launchd's own
// count, and is no news; its end is.
func TestLaunchdFollowsWhatRuns(t *testing.T) {
	inFollowed(t, func(t *testing.T, f *fakeLaunchd, l *Launchd, _ func() string) {
		for range 3 {
			f.flashes(fakeA, 256)
		}
		f.starts(fakeA)
		next := f.engine(LaunchdOptions{Follow: []Target{testA}})
		defer next.Close()
		events, err := next.Watch(t.Context())
		want(t, err, nil)
		st, err := next.State(t.Context(), testA)
		if life := map[bool]uint64{true: 4, false: 1}[f.counts]; err != nil || st.Life != life {
			t.Errorf("%+v, %v", st, err)
		}
		synctest.Wait()
		if len(events) > 0 {
			t.Errorf("news: %+v", <-events)
		}
		f.dies(fakeA, 9)
		time.Sleep(time.Second)
		if e := <-events; e.Kind != Exited || e.Life != st.Life || e.PID != st.PID {
			t.Errorf("%+v", e)
		}
	})
}

// Rule: neither a hold nor a load that begins the count anew makes a life of
// nothing, and numbers never go backwards.
func TestLaunchdFollowsHolds(t *testing.T) {
	inFollowed(t, func(t *testing.T, f *fakeLaunchd, l *Launchd, told func() string) {
		for range 3 {
			f.starts(fakeA)
			time.Sleep(3 * time.Second)
			f.dies(fakeA, 9)
			time.Sleep(3 * time.Second)
		}
		told()
		want(t, l.Hold(t.Context(), testA, time.Now().Add(time.Minute)), nil)
		time.Sleep(time.Second)
		st, err := l.State(t.Context(), testA)
		if want(t, err, nil); st.Status != Held || st.Life != 3 {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * time.Minute)
		wantTold(t, told(), "")
		want(t, l.Kickstart(t.Context(), testA, false), nil)
		wantTold(t, told(), "started 4")
		want(t, l.Bootout(t.Context(), testA), nil)
		wantTold(t, told(), "exited 4 exit 0, unloaded 0")
		want(t, errOf(l.State(t.Context(), testA)), ErrNotLoaded)
	})
}

// Rule: what launchctl refuses to say is no news: a job that list does not find, or
// a print that went wrong, ends no life.
func TestLaunchdFollowsSilence(t *testing.T) {
	inFollowed(t, func(t *testing.T, f *fakeLaunchd, l *Launchd, told func() string) {
		f.starts(fakeA)
		time.Sleep(3 * time.Second)
		wantTold(t, told(), "started 1")
		f.plays("list", answer{code: 113})
		if st, err := l.State(t.Context(), testA); err != nil || st.Status != Waiting || st.Life != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		f.plays("print", answer{code: 64})
		if _, err := l.State(t.Context(), testA); err == nil {
			t.Error("a print that went wrong")
		}
		wantTold(t, told(), "")
		inRunning(t, l)
	})
}

func inRunning(t *testing.T, l *Launchd) {
	t.Helper()
	if st, err := l.State(t.Context(), testA); err != nil || st.Status != Running || st.Life != 1 {
		t.Errorf("%+v, %v", st, err)
	}
}

// Rule: a count that is older than the process beside it is made up for, and one
// that went back is believed.
func TestTrail(t *testing.T) {
	bad := &Exit{Code: 1}
	tr := &trail{}
	for i, c := range []struct {
		s     sight
		kinds string
	}{
		{sight{loaded: true}, ""},
		{sight{loaded: true, listing: listing{pid: 5}}, "started"},   // the count lags
		{sight{loaded: true, runs: 1, listing: listing{pid: 5}}, ""}, // and has caught up
		{sight{loaded: true, runs: 2, listing: listing{last: bad}}, "exited exited"},
		{sight{loaded: true, runs: 4, listing: listing{pid: 6, last: bad}}, "exited started"},
		{sight{loaded: true, runs: 1, listing: listing{pid: 7, last: bad}}, "exited started"}, // loaded anew
		{sight{loaded: true, mute: true}, ""},
		{sight{}, "exited"},
		{sight{loaded: true, runs: 1, listing: listing{last: bad}}, "exited"},
		{sight{loaded: true, runs: -1, listing: listing{last: bad}}, ""},
	} {
		var kinds []string
		for _, e := range tr.learn(c.s, time.Now()) {
			kinds = append(kinds, e.Kind.String())
		}
		if got := strings.Join(kinds, " "); got != c.kinds {
			t.Errorf("look %d: %q, want %q", i, got, c.kinds)
		}
	}
	if tr.life != 6 {
		t.Errorf("%d lives", tr.life)
	}
}

// Rule: the count is read where it stands, and what is none is not told.
func TestParseRuns(t *testing.T) {
	for text, want := range map[string]int{
		"": -1, "x = {\n\truns = 3\n}\n": 3, "\t\truns = 3\n": -1, "runs = 3\n": -1, "\truns = -3\n": -1, "\truns = x\n": -1,
		"\truns = 99999999999\n": -1, "\truns = 0": 0, "\truns = a\n\truns = 2\r\n": 2,
	} {
		if got := parseRuns(text); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}
