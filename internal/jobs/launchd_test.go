package jobs

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inLaunchd runs a test in a bubble with an engine of the machine, in which
// system/test.a is loaded.
func inLaunchd(t *testing.T, o LaunchdOptions, f func(*testing.T, *fakeLaunchd, *Launchd)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeLaunchd(t)
		l := fake.engine(o)
		defer l.Close()
		want(t, l.Bootstrap(t.Context(), System, fake.file("test.a", "")), nil)
		f(t, fake, l)
	})
}

const testA = Target("system/test.a")

func want(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error %v, want %v", err, kind)
	}
}

func inState(t *testing.T, l *Launchd, s Status) State {
	t.Helper()
	st, err := l.State(t.Context(), testA)
	if err != nil || st.Status != s || st.Life != 0 || st.Restarts != 0 {
		t.Fatalf("state %+v, %v; want %v", st, err, s)
	}
	return st
}

// Rule: what is not a target, a domain or a file's absolute name never becomes
// an argument.
func TestLaunchdArguments(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		before := f.count("")
		for _, bad := range []Target{"", "system", "system/", "system/-x", "system/a b", "system/a/b", "system/..", "user/1/a", "gui/-1/a", "gui/01/a", "gui/x/a", "gui/4294967296/a", "system/a\x00", "gui//a"} {
			for name, err := range map[string]error{
				"bootout": l.Bootout(t.Context(), bad), "kickstart": l.Kickstart(t.Context(), bad, true),
				"hold": l.Hold(t.Context(), bad, time.Now().Add(time.Hour)), "state": errOf(l.State(t.Context(), bad)),
			} {
				if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNotLoaded) {
					t.Errorf("%s %q: %v", name, bad, err)
				}
			}
		}
		good := f.file("test.b", "")
		for _, path := range []string{"", "x.plist", "-x", good + "/../test.b.plist", good + "\x00"} {
			want(t, l.Bootstrap(t.Context(), System, path), ErrMalformed)
		}
		want(t, l.Bootstrap(t.Context(), "user/1", good), ErrMalformed)
		want(t, l.Bootstrap(t.Context(), "gui/x", good), ErrNoSession)
		want(t, l.Bootstrap(t.Context(), System, f.file("-test.c", "")), ErrMalformed)
		if n := f.count(""); n != before {
			t.Errorf("launchctl ran: %q", f.calls[before:])
		}
	})
}

func errOf[T any](_ T, err error) error { return err }

// Rule: a code is an error that callers can tell apart, with a next step where
// there is one, and no code is taken for success.
func TestLaunchdCodes(t *testing.T) {
	kinds := map[int]error{
		1: os.ErrPermission, 3: ErrNotLoaded, 5: ErrBusy, 17: ErrAlreadyLoaded, 36: ErrBusy, 37: ErrBusy, 109: ErrBadSpec,
		111: ErrBadSpec, 112: ErrNoSession, 113: ErrNotLoaded, 119: ErrDisabled, 122: os.ErrPermission, 124: ErrNoSession,
		125: ErrNoSession, 134: ErrSessionType, 139: ErrStart, 144: os.ErrPermission, 150: os.ErrPermission, 155: ErrStart,
	}
	for code := 1; code < 256; code++ {
		err := refusal(answer{code: code, stderr: "Some failed: more\nsecond line"})
		if kind := kinds[code]; kind != nil && !errors.Is(err, kind) {
			t.Errorf("code %d is %v, want %v", code, err, kind)
		}
		if !strings.Contains(err.Error(), "launchctl exit ") {
			t.Errorf("code %d: %v", code, err)
		}
	}
	if err := refusal(answer{code: 77, stderr: "Odd\nsecond"}); err.Error() != `launchctl exit 77: "Odd"` {
		t.Error(err)
	}
	for _, code := range []int{3, 5, 36, 37, 113, 119, 122, 125, 150, 155} {
		if err := refusal(answer{code: code}); !strings.Contains(err.Error(), "\nhint: ") {
			t.Errorf("code %d has no next step: %v", code, err)
		}
	}
}

// Rule: what passes is waited for, what does not is an error at once, and what
// should pass and does not ends.
func TestLaunchdBootstrapRetries(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		path := f.file("test.b", "")
		for _, c := range []struct {
			answers []int
			want    error
			tries   int
		}{
			{[]int{5, 0}, nil, 2}, {[]int{37, 36, 5, 0}, nil, 4},
			{[]int{119}, ErrDisabled, 1}, {[]int{122}, os.ErrPermission, 1}, {[]int{125}, ErrNoSession, 1}, {[]int{150}, os.ErrPermission, 1}, {[]int{155}, ErrStart, 1},
			{slices.Repeat([]int{5}, 1000), ErrBusy, 41},
		} {
			before := f.count("bootstrap")
			var played []answer
			for _, code := range c.answers {
				played = append(played, answer{code: code})
			}
			f.plays("bootstrap", played...)
			want(t, l.Bootstrap(t.Context(), System, path), c.want)
			if n := f.count("bootstrap") - before; n != c.tries {
				t.Errorf("%d tries at %v, want %d", n, c.answers[0], c.tries)
			}
			f.plays("bootstrap")
			l.set(l.units["system/test.b"], func(u *unit) { u.ours = false })
		}
	})
}

// Rule: what is loaded is not loaded again: at once where this engine has loaded
// it, and otherwise as soon as it is clear that it is not on its way out.
func TestLaunchdLoadedAlready(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		path, start := f.file("test.a", ""), time.Now()
		want(t, l.Bootstrap(t.Context(), System, path), ErrAlreadyLoaded)
		if time.Since(start) != 0 {
			t.Error("it waited for its own job")
		}
		other := f.engine(LaunchdOptions{})
		defer other.Close()
		want(t, other.Bootstrap(t.Context(), System, path), ErrAlreadyLoaded)
		f.starts("system/test.a")
		want(t, errOf(f.run(t.Context(), "bootout", "system/test.a")), nil) // somebody's, and it drains
		want(t, other.Bootstrap(t.Context(), System, path), nil)
	})
}

// Rule: Bootout returns when the job is gone, which is not when launchctl does,
// and gives up where it would take for ever.
func TestLaunchdBootoutWaits(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		f.starts("system/test.a")
		start := time.Now()
		want(t, l.Bootout(t.Context(), testA), nil)
		if d := time.Since(start); d < 5*time.Second || d > 6*time.Second || f.job("system/test.a") != nil {
			t.Errorf("gone after %v", d)
		}
		want(t, l.Bootout(t.Context(), testA), ErrNotLoaded)
		want(t, errOf(l.State(t.Context(), testA)), ErrNotLoaded)
		want(t, l.Hold(t.Context(), testA, time.Now().Add(time.Hour)), ErrNotLoaded)
		want(t, l.Kickstart(t.Context(), testA, false), ErrNotLoaded)

		want(t, l.Bootstrap(t.Context(), System, f.file("test.a", "")), nil)
		f.starts("system/test.a")
		f.jobs["system/test.a"].drain = time.Hour
		f.plays("bootout", answer{code: 5}, answer{code: 36})
		err := l.Bootout(t.Context(), testA)
		want(t, err, ErrBusy)
		if !strings.Contains(err.Error(), "hint: ") {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		want(t, l.Bootout(ctx, testA), context.DeadlineExceeded)
		f.jobs["system/test.a"].until = time.Now().Add(3 * time.Second)
		want(t, l.Bootstrap(t.Context(), System, f.file("test.a", "")), nil) // not "loaded already"
	})
}

// Rule: a start that launchd refuses is ErrStart or something better known, and
// one that it only seems to have made is ErrStart too.
func TestLaunchdKickstart(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		for _, c := range []struct {
			a    answer
			kill bool
			want error
		}{
			{answer{code: 3}, true, ErrNotLoaded}, {answer{code: 113}, false, ErrNotLoaded}, {answer{code: 125}, false, ErrNotLoaded},
			{answer{code: 119}, false, ErrDisabled}, {answer{code: 155}, true, ErrStart}, {answer{code: 150}, false, ErrStart},
			{answer{code: 37}, false, nil}, {answer{code: 37}, true, nil}, {answer{code: 5}, false, nil},
			{answer{stdout: "4711\n"}, false, nil}, {answer{stdout: "service spawned with pid: 4711\n"}, true, nil}, {answer{stdout: "odd\n"}, false, nil},
		} {
			f.plays("kickstart", c.a)
			want(t, l.Kickstart(t.Context(), testA, c.kill), c.want)
		}
		f.dies("system/test.a", configExit<<8)
		f.plays("kickstart", answer{})
		err := l.Kickstart(t.Context(), testA, false)
		want(t, err, ErrStart)
		if !strings.Contains(err.Error(), "hint: ") {
			t.Error(err)
		}
		f.plays("kickstart", slices.Repeat([]answer{{code: 5}}, 1000)...)
		want(t, l.Kickstart(t.Context(), testA, true), ErrBusy)
	})
}

// Rule: State says what `list` says, and nothing that print's text says; where
// list does not find what is there, the job is there and nothing else is known.
func TestLaunchdState(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		if s := inState(t, l, Waiting); s.PID != 0 || s.Last != nil || !s.Since.IsZero() {
			t.Errorf("before a start: %+v", s)
		}
		pid := f.starts("system/test.a")
		if s := inState(t, l, Running); s.PID != pid {
			t.Errorf("running: %+v", s)
		}
		f.dies("system/test.a", 3<<8)
		if s := inState(t, l, Waiting); s.Last == nil || *s.Last != (Exit{Code: 3}) {
			t.Errorf("after exit 3: %+v", s)
		}
		f.dies("system/test.a", 9)
		if s := inState(t, l, Waiting); s.Last == nil || *s.Last != (Exit{Signal: 9}) {
			t.Errorf("after SIGKILL: %+v", s)
		}
		f.plays("list", answer{code: 113})
		inState(t, l, Waiting)
		f.plays("print", answer{code: 64})
		if _, err := l.State(t.Context(), testA); err == nil || errors.Is(err, ErrNotLoaded) {
			t.Errorf("a print that went wrong: %v", err)
		}
	})
}

// Rule: List describes what is loaded of what it was told of and what it loaded.
func TestLaunchdList(t *testing.T) {
	sessions := func(context.Context) ([]Session, error) { return []Session{{ID: "501"}, {ID: "502"}}, nil }
	o := LaunchdOptions{Sessions: sessions, Jobs: []Target{"gui/test.b", "system/test.none", testA}}
	inLaunchd(t, o, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		synctest.Wait()
		f.mu.Lock()
		f.jobs["gui/502/test.b"], f.jobs["system/other"] = &fakeJob{pid: 7}, &fakeJob{}
		f.mu.Unlock()
		all, err := l.List(t.Context())
		want(t, err, nil)
		if len(all) != 2 || all[0].Target != "gui/502/test.b" || all[0].PID != 7 || all[1].Target != testA {
			t.Errorf("list: %+v", all)
		}
		if f.count("asuser 502 /bin/launchctl list test.b") != 1 {
			t.Errorf("calls: %q", f.calls)
		}
	})
}

// Rule: an engine that is closed does nothing, and no watch outlives it.
func TestLaunchdClose(t *testing.T) {
	inLaunchd(t, LaunchdOptions{}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		events, err := l.Watch(t.Context())
		want(t, err, nil)
		f.starts("system/test.a")
		want(t, l.Hold(t.Context(), testA, time.Now().Add(time.Hour)), nil)
		l.Close()
		if e, open := <-events; open {
			t.Errorf("event %+v", e)
		}
		before := f.count("")
		want(t, l.Kickstart(t.Context(), testA, false), ErrClosed)
		want(t, errOf(l.Sessions(t.Context())), ErrClosed)
		want(t, errOf(l.State(t.Context(), testA)), ErrClosed)
		want(t, errOf(l.Watch(t.Context())), ErrClosed)
		if f.count("") != before {
			t.Error("launchctl ran after Close")
		}
	})
}
