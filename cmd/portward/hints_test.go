package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/bundle/requirement"
	"portward/internal/durable"
	"portward/internal/jobs"
	"portward/internal/program"
	requests "portward/internal/request"
	"portward/internal/status"
)

// Rule: a hint is for who does not have what it names, and there is one.
func TestWaysOut(t *testing.T) {
	unbelieved, byNobody := errors.New("certificate: "+saysUnbelieved), errors.New(saysByNobody)
	wants, err := requirement.Parse("anchor apple generic")
	check(t, err)
	told := checking{}
	told.Anchors = [][32]byte{{1}}
	asks := checking{}
	asks.Requirement = wants
	for name, tc := range map[string]struct {
		c    checking
		err  error
		want string // empty: no hint
	}{
		"Apple's roots":         {checking{}, unbelieved, hintRoot},
		"roots of one's own":    {told, unbelieved, hintChain},
		"nobody":                {checking{}, byNobody, hintAdHoc},
		"nobody, and no team":   {checking{team: testTeam}, byNobody, ""},
		"nobody, but who wants": {asks, byNobody, ""},
		"something else":        {checking{}, errors.New("other"), ""},
	} {
		_, got, _ := strings.Cut(tc.c.wayOut(tc.err).Error(), "\nhint: ")
		if got != tc.want {
			t.Errorf("%s: the hint is %q, want %q", name, got, tc.want)
		}
	}
	has := fmt.Errorf("%w\nhint: another", byNobody)
	if got := (&checking{}).wayOut(has); got.Error() != has.Error() {
		t.Errorf("a second hint: %v", got)
	}
	if err := (&checking{}).wayOut(nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

// Rule: one thing is not called many.
func TestAmounts(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 frames", 1: "1 frame", 2: "2 frames"} {
		if got := amount(n, "frame"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

// tellStatus makes a root whose supervisor says that.
func tellStatus(t *testing.T, st status.Status) (root string) {
	t.Helper()
	root = t.TempDir()
	check(t, durable.MkdirAll(root+"/status", 0o755))
	check(t, status.Write(program.StatusPath(root), st))
	return root
}

// Rule: who wants to start a job that is held learns until when it is.
func TestHeldUntil(t *testing.T) {
	until := time.Date(2026, 11, 30, 12, 30, 0, 0, time.Local)
	held := status.Status{NetChild: status.NetChild{State: status.Held, HeldUntil: until, Reason: "5 fast deaths"}}
	err := (&world{o: upOptions{root: tellStatus(t, held)}}).untilWhen(&jobs.Error{Op: "kickstart", Subject: "x", Err: jobs.ErrHeld})
	wantRefusal(t, err, "5 fast deaths; the next attempt at 12:30:00")
	if !errors.Is(err, jobs.ErrHeld) {
		t.Errorf("%v is not ErrHeld", err)
	}
	none := &world{o: upOptions{root: t.TempDir()}}
	if err := none.untilWhen(jobs.ErrHeld); !errors.Is(err, jobs.ErrHeld) || err.Error() != jobs.ErrHeld.Error() {
		t.Errorf("without a status: %v", err)
	}
	if err := none.untilWhen(nil); err != nil {
		t.Errorf("what was started: %v", err)
	}
}

// Rule: of a name that nobody on the deny list has, that is said, with those that
// are on it; of every other the supervisor is asked.
func TestNameDenied(t *testing.T) {
	var st status.Status
	root := tellStatus(t, st)
	wantRefusal(t, checkDenied(root, "9.9.9"), `no release "9.9.9" is denied, and no other`)
	st.Payload.Denied = []status.Denied{{Version: "1.1.0", Hash: "abcdef0123"}}
	root = tellStatus(t, st)
	wantRefusal(t, checkDenied(root, "9.9.9"), "no release \"9.9.9\" is denied\nhint: portward status shows those that are: 1.1.0")
	for _, which := range []string{"1.1.0", "abc", "abcdef0123"} {
		check(t, checkDenied(root, which))
	}
	check(t, checkDenied(t.TempDir(), "9.9.9")) // there is nobody: asking says so
}

// Rule: who waits for a release while another is on trial is told for what.
func TestWaitsForAnothersTrial(t *testing.T) {
	for name, tc := range map[string]struct {
		wait  bool
		trial *status.Trial
		want  bool
	}{
		"waiting":     {true, &status.Trial{Version: "1.1.0"}, true},
		"not waiting": {false, &status.Trial{Version: "1.1.0"}, false},
		"no trial":    {true, nil, false},
	} {
		root := tellStatus(t, status.Status{Payload: status.Payload{Trial: tc.trial}})
		check(t, durable.MkdirAll(program.RequestDir(root), 0o700))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		out := &strings.Builder{}
		a := &awaited{op: "force", wait: tc.wait, show: &screen{out: out}}
		_, err := a.ask(ctx, nil, root, requests.Request{Op: "force"})
		wantRefusal(t, err, "it was withdrawn")
		if got := strings.Contains(out.String(), "waiting for the trial of 1.1.0 first"); got != tc.want {
			t.Errorf("%s: it said %q", name, out)
		}
	}
}

// Rule: at which of its starts a release on trial is, is told in words.
func TestStartsInWords(t *testing.T) {
	for want, trial := range map[string]status.Trial{
		"to be started again":                  {},
		"first start":                          {Attempts: 1},
		"first start, attempt 2":               {Attempts: 2},
		"after its planned restart":            {Attempts: 1, Cold: true},
		"after its planned restart, attempt 3": {Attempts: 3, Cold: true},
	} {
		if got := startsInWords(&trial); got != want {
			t.Errorf("%+v: %q, want %q", trial, got, want)
		}
	}
	line := payloadLine(status.Payload{State: status.Installed, Version: "1.1.0", Phase: status.OnTrial, Trial: &status.Trial{From: "1.0.0", Attempts: 1}})
	if line != "1.1.0; trial (instead of 1.0.0, first start)" {
		t.Errorf("the line is %q", line)
	}
}

// Rule: frames per second are told once they were seen for a second, and not before.
func TestFramesPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), rates: map[string]*rate{}}
		if fps, known := w.rate("1", 30); known {
			t.Errorf("%v frames per second in no time", fps)
		}
		time.Sleep(time.Second)
		for range 2 { // a look at once thereafter knows it still
			if fps, known := w.rate("1", 30); !known || fps != 30 {
				t.Errorf("%v frames per second, known: %v", fps, known)
			}
		}
	})
	for want, x := range map[string]sessionView{"-": {FPSUnknown: true}, "0.0": {}, "29.9": {FPS: 29.9}} {
		if got := paceInWords(x); got != want {
			t.Errorf("%+v: %q, want %q", x, got, want)
		}
	}
}
