package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// logins are sessions that a test opens and closes.
type logins struct {
	mu  sync.Mutex
	all []Session
	err error
}

func (l *logins) set(all ...Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = all
}

func (l *logins) list(context.Context) ([]Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all), l.err
}

func kinds(events <-chan Event) (got []string) {
	for {
		select {
		case e := <-events:
			name := e.Kind.String() + " " + string(e.Target)
			if e.Session != nil {
				name += e.Session.ID
			}
			got = append(got, name)
		default:
			return got
		}
	}
}

// Rule: an agent is loaded once in each session of its type, now and later; one
// whose domain is late is tried again; one that launchd has loaded is taken as it
// is; one that somebody unloads stays unloaded; and a session takes its jobs along.
func TestLaunchdSessions(t *testing.T) {
	var people logins
	people.set(Session{ID: "501"}, Session{ID: "88", Type: LoginWindow}, Session{ID: "x"}, Session{ID: "501", User: "twice"})
	inLaunchd(t, LaunchdOptions{Sessions: people.list, Poll: time.Second}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		synctest.Wait()
		events, err := l.Watch(t.Context())
		want(t, err, nil)
		path := f.file("test.agent", "")
		want(t, l.Bootstrap(t.Context(), GUI, path), nil)
		want(t, l.Bootstrap(t.Context(), GUI, path), ErrAlreadyLoaded)
		want(t, l.Bootstrap(t.Context(), "gui/88", path), ErrSessionType)
		f.mu.Lock()
		f.absent["gui/502"] = codeNoDomain
		f.jobs["gui/503/test.agent"] = &fakeJob{pid: 7}
		f.mu.Unlock()
		people.set(Session{ID: "501"}, Session{ID: "502"}, Session{ID: "503"})
		time.Sleep(1500 * time.Millisecond)
		if got, want := kinds(events), []string{"loaded gui/501/test.agent", "session-closed 88", "session-opened 502", "session-opened 503", "loaded gui/503/test.agent"}; !slices.Equal(got, want) {
			t.Fatalf("events %q, want %q", got, want)
		}
		f.mu.Lock()
		delete(f.absent, "gui/502")
		delete(f.jobs, "gui/501/test.agent")
		f.mu.Unlock()
		time.Sleep(time.Minute)
		f.mu.Lock()
		delete(f.jobs, "gui/502/test.agent") // with its session
		f.mu.Unlock()
		people.set(Session{ID: "501"}, Session{ID: "503"})
		time.Sleep(1500 * time.Millisecond)
		if got, want := kinds(events), []string{"loaded gui/502/test.agent", "unloaded gui/502/test.agent", "session-closed 502"}; !slices.Equal(got, want) {
			t.Fatalf("events %q, want %q", got, want)
		}
		if f.has("gui/501/test.agent") || !f.has("gui/503/test.agent") || f.lives != 0 {
			t.Error("an agent that was taken out came back, or one that ran was ended")
		}
		want(t, l.Bootout(t.Context(), "gui/test.agent"), nil)
		want(t, l.Bootout(t.Context(), "gui/test.agent"), ErrNotLoaded)
		people.set(Session{ID: "501"}, Session{ID: "502"}, Session{ID: "503"})
		time.Sleep(time.Minute)
		if f.has("gui/502/test.agent") {
			t.Error("loaded after Bootout")
		}
	})
}

// Rule: an agent that is refused is an error to who loads it, and is not tried
// again and again; the next login may be another matter.
func TestLaunchdAgentRefused(t *testing.T) {
	people := logins{all: []Session{{ID: "501"}}}
	inLaunchd(t, LaunchdOptions{Sessions: people.list, Poll: time.Second}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		f.plays("bootstrap", answer{code: 119})
		want(t, l.Bootstrap(t.Context(), GUI, f.file("test.agent", "")), ErrDisabled)
		time.Sleep(time.Minute)
		if f.has("gui/501/test.agent") {
			t.Error("tried again")
		}
		people.set()
		time.Sleep(time.Minute)
		people.set(Session{ID: "501"})
		time.Sleep(time.Minute)
		if !f.has("gui/501/test.agent") {
			t.Error("not tried at the next login")
		}
		want(t, l.Bootout(t.Context(), "gui/test.agent"), nil)
		f.plays("bootstrap", answer{code: 119})
		want(t, l.Bootstrap(t.Context(), GUI, f.file("test.agent", "")), ErrDisabled)
		want(t, l.Bootout(t.Context(), "gui/test.agent"), nil)
		want(t, l.Bootstrap(t.Context(), GUI, f.file("test.agent", "")), nil)
		if !f.has("gui/501/test.agent") {
			t.Error("not tried when it was loaded anew")
		}
	})
}

// Rule: a question about logins that fails leaves what is known as it was.
func TestLaunchdSessionsUnknown(t *testing.T) {
	people := logins{all: []Session{{ID: "501"}}}
	inLaunchd(t, LaunchdOptions{Sessions: people.list, Poll: time.Second}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		synctest.Wait()
		events, err := l.Watch(t.Context())
		want(t, err, nil)
		broken := errors.New("broken")
		people.mu.Lock()
		people.err = broken
		people.mu.Unlock()
		want(t, errOf(l.Sessions(t.Context())), broken)
		time.Sleep(time.Minute)
		if got := kinds(events); len(got) != 0 || l.session("501") == nil {
			t.Errorf("events %q", got)
		}
	})
}

// Rule: a fault that lasts is said once, and again when it is another or came back.
func TestLaunchdSaysWhatChanged(t *testing.T) {
	people := logins{all: []Session{{ID: "501"}}}
	var mu sync.Mutex
	said := []string{}
	log := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprintf(format, args...))
	}
	inLaunchd(t, LaunchdOptions{Sessions: people.list, Poll: time.Second, Log: log}, func(t *testing.T, f *fakeLaunchd, l *Launchd) {
		expect := func(words ...string) {
			t.Helper()
			time.Sleep(time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if len(said) != len(words) {
				t.Fatalf("said %q, want %q", said, words)
			}
			for i, w := range words {
				if !strings.Contains(said[i], w) {
					t.Errorf("said %q, want %q", said[i], w)
				}
			}
			said = said[:0]
		}
		unknown := func(err error) {
			people.mu.Lock()
			defer people.mu.Unlock()
			people.err = err
		}
		for _, text := range []string{"broken", "torn", "broken"} {
			unknown(errors.New(text))
			expect(text)
		}
		unknown(nil)
		expect()
		unknown(errors.New("broken"))
		expect("broken")
		unknown(nil)
		f.plays("bootstrap", slices.Repeat([]answer{{code: codeInProgress}}, 100_000)...)
		want(t, l.Bootstrap(t.Context(), GUI, f.file("test.agent", "")), ErrBusy)
		expect("session 501: ")
		f.plays("bootstrap")
		expect()
		if !f.has("gui/501/test.agent") {
			t.Error("not loaded when that was over")
		}
	})
}

// Rule: an engine of a user keeps to that user's login, for the system's jobs too.
func TestLaunchdOfUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLaunchd(t)
		l := newLaunchd(LaunchdOptions{UID: 501, Launchctl: "/bin/launchctl"}, f.run, processes{f.alive, f.await}, launchdPace())
		defer l.Close()
		want(t, l.Bootstrap(t.Context(), System, f.file("test.a", "")), nil)
		all, err := l.Sessions(t.Context())
		if err != nil || len(all) != 1 || all[0].ID != "501" || all[0].Type != Aqua {
			t.Fatalf("sessions %+v, %v", all, err)
		}
		want(t, l.Bootstrap(t.Context(), "gui/502", f.file("test.b", "")), ErrNoSession)
		want(t, l.Bootstrap(t.Context(), GUI, f.file("test.b", "")), nil)
		if !f.has("gui/501/test.a") || !f.has("gui/501/test.b") || f.count("asuser") != 0 {
			t.Errorf("calls: %q", f.calls)
		}
		f.mu.Lock()
		f.absent["gui/501"] = codeNoDomain
		f.mu.Unlock()
		if all, err := l.Sessions(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("after the logout: %+v, %v", all, err)
		}
	})
}
