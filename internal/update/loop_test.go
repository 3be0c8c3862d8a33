package update

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"portward/internal/bundle"
	"portward/internal/status"
	"portward/internal/update/pipe"
)

// run starts the loop, which then moves in pass only; the answer stops it and
// says how it ended.
func (s *scene) run(u *Updater) (stop func() error) {
	s.mu.Lock()
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	return func() error { s.mu.Unlock(); cancel(); return <-ended }
}

// pass lets time go by, in a bubble.
func (s *scene) pass(d time.Duration) {
	s.mu.Unlock()
	defer s.mu.Lock()
	time.Sleep(d)
	synctest.Wait()
}

// Rule: a check comes soon after the start, then about as often as configured;
// one that fails is tried again after the back-off's pause, and said so.
func TestTimer(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offered, s.rel = s.build(filepath.Join(t.TempDir(), "same"), "1.0.0"), Release{Version: "1.0.0"}
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		u := s.mustOpen()
		stop := s.run(u)
		s.pass(time.Minute)
		if s.fetches != 1 {
			t.Errorf("%d checks in the first minute", s.fetches)
		}
		s.pass(10 * time.Hour)
		if s.fetches < 9 || s.fetches > 12 {
			t.Errorf("%d checks in ten hours", s.fetches)
		}
		s.offline, s.fetches = pipe.ErrOffline, 0
		s.pass(2 * time.Hour)
		if s.fetches < 50 || s.pay.Error == "" || s.pay.State != status.Installed {
			t.Errorf("%d checks in two hours, status %+v", s.fetches, s.pay)
		}
		s.offline = nil
		s.pass(5 * time.Minute)
		if s.pay.Error != "" || time.Until(s.pay.Next) < 30*time.Minute {
			t.Errorf("status %+v", s.pay)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
}

// Rule: a session holds a release back, no longer than allowed; when it lets
// go, the release is taken at once.
func TestLease(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		u := s.mustOpen()
		begin := time.Now()
		until := begin.Add(100 * time.Hour)
		u.Lease(until)
		stop := s.run(u)
		s.pass(time.Minute)
		if d := s.pay.Deferred; d == nil || d.Version != "2.0.0" || d.Until.Before(begin.Add(8*time.Hour)) || d.Until.After(begin.Add(8*time.Hour+time.Minute)) {
			t.Errorf("deferred %+v", d)
		}
		s.lives("1.0.0")
		s.pass(7 * time.Hour)
		s.lives("1.0.0")
		u.Lease(time.Time{})
		s.pass(time.Second)
		s.lives("2.0.0")
		if err := stop(); !errors.Is(err, ErrHandOver) {
			t.Errorf("Run ended with %v", err)
		}
	})
	s = newScene(t, "1.0.0")
	s.offer("2.0.0")
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		u := s.mustOpen()
		u.Lease(time.Now().Add(100 * time.Hour))
		stop := s.run(u)
		s.pass(8*time.Hour + time.Minute)
		s.lives("2.0.0")
		if err := stop(); !errors.Is(err, ErrHandOver) {
			t.Errorf("Run ended with %v", err)
		}
	})
}

// Rule: a session that began during the download is not disturbed either.
func TestLeaseDuringDownload(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	u := s.mustOpen()
	s.onReport = func(p status.Payload) {
		if p.Phase == status.Staging {
			u.Lease(time.Now().Add(time.Hour))
		}
	}
	if err := s.check(u, "update"); err != nil {
		t.Fatal(err)
	}
	s.lives("1.0.0")
	if s.pay.Deferred == nil || s.rescue {
		t.Errorf("status %+v", s.pay)
	}
	s.asked, s.onReport = nil, nil
	u.Lease(time.Time{})
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Fatal(err)
	}
	if len(s.asked) != 0 {
		t.Errorf("%d contents were fetched again", len(s.asked))
	}
}

// Rule: every request is answered, during a trial too; a rollback ends it.
func TestRequests(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		u := s.mustOpen()
		s.trial = func(ctx context.Context, step TrialStep) error {
			for n := time.Duration(0); ; n++ {
				step.Healthy(n * time.Second)
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Second):
				}
			}
		}
		gen := u.rec.Gen
		stop := s.run(u)
		s.pass(20 * time.Second)
		for _, op := range []string{"check", "unblock", "nonsense", "rollback"} {
			u.Ask(Request{ID: op, Op: op})
			s.pass(1500 * time.Millisecond)
		}
		if err := stop(); !errors.Is(err, ErrHandOver) {
			t.Errorf("Run ended with %v", err)
		}
		if u.rec.Gen < gen+3 {
			t.Errorf("%d signs of life in 20 s", u.rec.Gen-gen)
		}
		s.lives("1.0.0")
		if a := s.pay.Answers[1:]; len(a) != 4 || a[0].Error == "" || a[1].Error == "" || a[2].Error == "" || a[3].Error != "" {
			t.Errorf("answers %+v", a)
		}
	})
}

// Rule: a rollback that cannot be is refused, and proves nothing: the release
// stays on trial.
func TestRollbackWithNoWayBack(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	s.mustOpen() // which puts the earlier bundle aside
	if err := os.RemoveAll(s.cfg.beside()); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		u := s.mustOpen()
		s.trial = func(ctx context.Context, step TrialStep) error { <-ctx.Done(); return ctx.Err() }
		stop := s.run(u)
		s.pass(time.Second)
		u.Ask(Request{ID: "r", Op: "rollback"})
		s.pass(time.Second)
		if a := s.pay.Answers; len(a) != 2 || a[1].Error == "" {
			t.Errorf("answers %+v", a)
		}
		if s.pay.Trial == nil || u.rec.State != OnTrial {
			t.Errorf("%v, status %+v", u.rec.State, s.pay)
		}
		stop()
	})
}

// Rule: looking changes nothing.
func TestCheckOnlyLooks(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	u := s.mustOpen()
	if err := s.check(u, "check"); err != nil {
		t.Fatal(err)
	}
	if a := s.pay.Answers; len(a) != 1 || a[0].Text != "2.0.0 is available" || len(s.asked) != 0 {
		t.Errorf("answers %+v, %d contents fetched", a, len(s.asked))
	}
	s.lives("1.0.0")
}

// Rule: without a repository nothing is checked, and trials still end.
func TestNoRepository(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	s.settle()
	s.cfg.Repo = false
	s.fetches = 0
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		u := s.mustOpen()
		stop := s.run(u)
		s.pass(100 * time.Hour)
		if s.fetches != 0 || !s.pay.Next.IsZero() {
			t.Errorf("%d checks, next %v", s.fetches, s.pay.Next)
		}
		u.Ask(Request{ID: "c", Op: "check"})
		s.pass(time.Second)
		if a := s.pay.Answers; len(a) != 1 || a[0].Error == "" {
			t.Errorf("answers %+v", a)
		}
		stop()
	})
}

// Rule: the retained bundle stays while a process runs from it, and so long the
// next release waits, for a bounded time.
func TestCensus(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no census here")
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, "1.0.0")
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old")
	if err := os.WriteFile(old, program, 0o755); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(s.cfg.Live)
	if _, err := bundle.Build(s.cfg.Live, map[string]string{"supervisor": old, "netchild": old}, os.DirFS(t.TempDir()), "1.0.0", nil); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(bundle.Layout(s.cfg.Live).Tuf(), 0o755)
	os.WriteFile(filepath.Join(bundle.Layout(s.cfg.Live).Tuf(), "targets.json"), []byte("{}"), 0o644)
	running := exec.Command(bundle.Layout(s.cfg.Live).Program("netchild"), "1000")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { running.Process.Kill(); running.Wait() })
	s.offer("2.0.0")
	s.take()
	u := s.settle()
	s.offer("3.0.0")
	if err := s.check(u, "update"); err != nil || s.pay.Deferred == nil || s.hashOf(s.cfg.beside()) == "" {
		t.Errorf("check: %v, status %+v", err, s.pay)
	}
	if err := u.change(func(r *record) { r.Since = r.Since.Add(-s.cfg.MaxLease) }); err != nil { // so long ago
		t.Fatal(err)
	}
	if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
		t.Errorf("check: %v", err)
	}
	s.settle()
	s.lives("3.0.0")
}

// Rule: a request that a hand-over was too quick for is answered, by this
// process and by the next.
func TestUnserved(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	s.settle()
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		u := s.mustOpen()
		for _, op := range []string{"rollback", "check", "unblock"} {
			u.Ask(Request{ID: op, Op: op})
		}
		stop := s.run(u)
		s.pass(time.Second)
		told := func(who string) {
			t.Helper()
			a := s.pay.Answers
			if len(a) != 3 || a[0].ID != "rollback" || a[0].Kind != status.HandedOver || a[0].Text == "" || a[0].Error != "" || a[1].ID != "check" || a[2].Kind != status.AskAgain || a[2].Error == "" {
				t.Errorf("%s answers %+v", who, a)
			}
		}
		if told("this process"); !errors.Is(stop(), ErrHandOver) {
			t.Error("it was not rolled back")
		}
		s.pay = status.Payload{}
		s.mustOpen()
		told("the next")
	})
	s.t = t
	s.settle()
}

// Rule: a rollback interrupts also what begins just after it was asked for.
func TestRollbackComesFirst(t *testing.T) {
	u := newScene(t, "1.0.0").mustOpen()
	u.Ask(Request{Op: "check"})
	ctx, stop := u.inbox.interruptible(t.Context())
	if stop(); ctx.Err() == nil {
		t.Error("not stopped")
	}
	u.Ask(Request{Op: "rollback"})
	ctx, stop = u.inbox.interruptible(t.Context())
	defer stop()
	if ctx.Err() == nil {
		t.Error("a rollback waits for what has just begun")
	}
}

// Rule: an orderly stop and a reboot are no crashes; crashes are counted on.
func TestOrderlyStops(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	s.mustOpen() // crashes
	for i := range 3 * s.cfg.Attempts {
		ctx, cancel := context.WithCancel(t.Context())
		s.trial = func(ctx context.Context, _ TrialStep) error { cancel(); return ctx.Err() }
		if u := s.mustOpen(); !u.onTrial || u.rec.Attempts != 2 {
			t.Fatalf("stop %d: on trial %v, %d attempts", i, u.onTrial, u.rec.Attempts)
		} else if err := u.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	s.mustOpen()
	s.mustOpen()
	for _, s.cfg.Boot = range []string{"boot 2", "boot 3"} { // the power went
		if u := s.mustOpen(); !u.onTrial || u.rec.Attempts != s.cfg.Attempts {
			t.Fatalf("%s: on trial %v, %d attempts", s.cfg.Boot, u.onTrial, u.rec.Attempts)
		}
	}
	if _, err := s.open(); !errors.Is(err, ErrHandOver) {
		t.Errorf("crashes before and after are forgotten: %v", err)
	}
}

// Rule: whoever publishes one release after another gets no session to hold
// the last back for longer, and a free moment in between begins nothing anew.
func TestLeaseOverReleases(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		u := s.mustOpen()
		u.Lease(time.Now().Add(100 * time.Hour))
		stop := s.run(u)
		s.pass(5 * time.Hour)
		s.offline = pipe.ErrOffline // so that nothing can be taken now
		u.Lease(time.Time{})
		s.pass(time.Minute)
		u.Lease(time.Now().Add(100 * time.Hour))
		s.offline = nil
		s.pass(2 * time.Hour)
		s.lives("1.0.0")
		s.offer("3.0.0")
		s.pass(2 * time.Hour)
		s.lives("3.0.0")
		if err := stop(); !errors.Is(err, ErrHandOver) {
			t.Errorf("Run ended with %v", err)
		}
	})
}

// Rule: who wanted a release that was not taken is told which and why, as an
// error; who only looked, as a text.
func TestAnswersOfWaiting(t *testing.T) {
	for want, edit := range map[string]func(*Updater, *scene){
		"2.0.0 is denied: crash: x":                      func(u *Updater, s *scene) { u.rec.Denied = []status.Denied{{Hash: s.offered.Hash(), Why: "crash: x"}} },
		"2.0.0 waits: it is not this machine's turn yet": func(_ *Updater, s *scene) { s.rel.Rollout.Share = 0 },
		"2.0.0 waits: it is recalled":                    func(_ *Updater, s *scene) { s.rel.Bad = []string{s.offered.Hash()} },
		"2.0.0 waits: a session is not to be disturbed":  func(u *Updater, _ *scene) { u.Lease(time.Now().Add(time.Hour)) },
	} {
		s := newScene(t, "1.0.0")
		s.offer("2.0.0")
		u := s.mustOpen()
		edit(u, s)
		for _, op := range []string{"check", "update"} {
			if err := s.check(u, op); err != nil {
				t.Error(err)
			}
		}
		if a := s.pay.Answers; len(a) != 2 || a[0].Text != want || a[0].Error != "" || a[1].Text != "" || a[1].Error != want {
			t.Errorf("answers %+v, want %q", a, want)
		}
		if s.pay.Error != "" {
			t.Errorf("waiting is an error: %q", s.pay.Error)
		}
	}
}

// Rule: a denied release is named by its version or by enough of its hash.
func TestUnblock(t *testing.T) {
	u := newScene(t, "1.0.0").mustOpen()
	list := []status.Denied{{Hash: "0123456789a", Version: "2.0.0"}, {Hash: "0123456789b", Version: "2.0.0"}, {Hash: "0123456700", Version: ""}}
	for which, left := range map[string]int{
		"": 3, "0123456": 3, "01234567": 3, "0123456789": 3, "2.0": 3, "x0123456789a": 3,
		"2.0.0": 1, "0123456789a": 2, "012345670": 2,
	} {
		if err := u.change(func(r *record) { r.Denied = list }); err != nil {
			t.Fatal(err)
		}
		_, err := u.unblock(which)
		if n := len(u.rec.Denied); n != left || (err == nil) != (left < 3) {
			t.Errorf("%q: %d are denied, want %d; %v", which, n, left, err)
		}
	}
}

// Rule: whatever others say, the status file holds it.
func TestTextsAreBounded(t *testing.T) {
	s := newScene(t, "1.0.0")
	u := s.mustOpen()
	bad := strings.Repeat("<\"\x00\n\u2028é>&\\", 1000)
	for i := range maxDenied + 1 {
		u.rec.To, u.rec.ToVersion = hashed(fmt.Sprint(i)), bad[:64]
		u.rec.deny(bad, its)
		u.answer("20260102T030405.000000006Z-abcdefgh", bad, nil)
		u.answer("20260102T030405.000000006Z-abcdefgh", "", errors.New(bad))
	}
	s.warnings = slices.Repeat([]string{bad}, 1000)
	s.check(u, "update")
	u.pay.Error = bad
	u.hold(bad[:64], bad, time.Now())
	u.report()
	path := filepath.Join(t.TempDir(), "status.json")
	if err := status.Write(path, status.Status{Payload: s.pay}); err != nil {
		t.Error(err)
	}
	if got := pipe.Clip("two\nlines\a"); got != "two; lines" {
		t.Errorf("%q", got)
	}
	if got := pipe.Clip(strings.Repeat("é", 200)); len(got) != 200 || !utf8.ValidString(got) {
		t.Errorf("%q", got)
	}
}
