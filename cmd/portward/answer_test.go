package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"portward/internal/program"
	"portward/internal/status"
)

// Rule: who asks for a release learns what became of it, and the way out: the
// hash of what is in place decides, whichever supervisor says so, and of an answer its
// kind, not its words.
func TestAnswers(t *testing.T) {
	handedOver := status.Answer{Kind: status.HandedOver, Text: "soon"}
	tooLate := status.Answer{Kind: status.AskAgain, Error: "later"}
	done := func(text string) status.Answer { return status.Answer{Text: text} }
	refused := func(text string) status.Answer { return status.Answer{Error: text} }
	answered := func(st status.Status, x status.Answer) status.Status {
		x.ID = "me"
		st.Payload.Answers = []status.Answer{{ID: "other", Text: "x"}, x}
		return st
	}
	is := func(pid int, version string, change ...func(*status.Payload)) status.Status {
		st := status.Status{Version: 1, Supervisor: status.Supervisor{PID: pid}, Payload: status.Payload{State: status.Installed, Version: version, Hash: "hash of " + version}}
		for _, c := range change {
			c(&st.Payload)
		}
		return st
	}
	trial := func(p *status.Payload) { p.Trial = &status.Trial{Version: p.Version, Hash: p.Hash, From: "1.0.0"} }
	denied := func(p *status.Payload) {
		p.Denied = []status.Denied{{Version: "1.1.0", Hash: "hash of 1.1.0", Why: "crash: x"}}
	}
	waits := func(p *status.Payload) { p.Deferred = &status.Deferred{Version: "1.1.0", Why: "denied: crash: x"} }
	retained := func(p *status.Payload) { p.Previous = "0.9.0" }
	old := is(1, "1.0.0")
	for name, tc := range map[string]struct {
		op   string
		wait bool
		news []status.Status
		want string // how the end begins; of an error, after "error: "; empty: there is none yet
	}{
		"nothing yet":              {"force", false, []status.Status{is(1, "1.0.0"), is(9, "1.0.0")}, ""},
		"up to date":               {"update", true, []status.Status{answered(old, done("1.0.0 is up to date"))}, "1.0.0 is up to date"},
		"in place":                 {"force", false, []status.Status{answered(old, handedOver), is(2, "1.1.0", trial)}, "1.1.0 is in place, on trial; portward status --watch tells"},
		"the answer was lost":      {"force", false, []status.Status{is(2, "1.1.0", trial)}, "1.1.0 is in place, on trial"},
		"handed over, no more":     {"force", false, []status.Status{answered(old, handedOver)}, ""},
		"undone at once":           {"force", false, []status.Status{answered(old, handedOver), answered(is(3, "1.0.0", denied), handedOver)}, "error: 1.1.0 failed its trial, and 1.0.0 is back: crash: x"},
		"waiting for the verdict":  {"force", true, []status.Status{answered(old, handedOver), is(2, "1.1.0", trial)}, ""},
		"passed":                   {"force", true, []status.Status{is(2, "1.1.0", trial), is(3, "1.1.0", trial), is(3, "1.1.0")}, "1.1.0 passed its trial"},
		"failed":                   {"force", true, []status.Status{is(2, "1.1.0", trial), answered(is(3, "1.0.0", denied), handedOver)}, "error: 1.1.0 failed its trial, and 1.0.0 is back: crash: x"},
		"it came by itself":        {"force", true, []status.Status{answered(is(1, "1.0.0", trial), refused("1.0.0 is on trial")), is(2, "1.0.0")}, "1.0.0 passed its trial"},
		"on trial":                 {"force", false, []status.Status{answered(is(1, "1.0.0", trial), refused("1.0.0 is on trial"))}, "error: 1.0.0 is on trial\nhint: portward update --wait"},
		"denied":                   {"force", true, []status.Status{answered(is(1, "1.0.0", denied, waits), refused("1.1.0 is denied: crash: x"))}, "error: 1.1.0 is denied: crash: x\nhint: portward unblock 1.1.0"},
		"offline":                  {"update", false, []status.Status{answered(is(1, "1.0.0", denied), refused("offline"))}, "error: offline"},
		"unblocked":                {"unblock", false, []status.Status{answered(old, done("1.1.0 may be tried again"))}, "1.1.0 may be tried again: it will be, at the next check"},
		"rolled back":              {"rollback", false, []status.Status{answered(old, handedOver), is(2, "0.9.0")}, "0.9.0 is in place"},
		"nowhere to go":            {"rollback", false, []status.Status{answered(is(1, "1.0.0", denied), refused("nothing to go back to"))}, "error: nothing to go back to: 1.1.0 was undone already: crash: x"},
		"it could not be":          {"rollback", false, []status.Status{answered(is(1, "1.0.0", denied, retained), refused("disk"))}, "error: disk"},
		"too late":                 {"force", true, []status.Status{answered(old, tooLate)}, ""},
		"too late, came by itself": {"force", true, []status.Status{answered(old, tooLate), answered(is(2, "1.1.0", trial), tooLate), is(2, "1.1.0")}, "1.1.0 passed its trial"},
		"too late, on trial":       {"update", false, []status.Status{answered(old, tooLate), is(2, "1.1.0", trial)}, "1.1.0 is in place, on trial"},
		"too late, the same again": {"force", true, []status.Status{answered(old, tooLate), is(2, "1.0.0")}, "the next supervisor is asked"},
		"too late for a rollback":  {"rollback", false, []status.Status{answered(old, tooLate), is(2, "1.1.0", trial)}, "the next supervisor is asked"},
		"a damaged one is no news": {"force", false, []status.Status{is(1, "")}, ""},
	} {
		a := &awaited{id: "me", op: tc.op, wait: tc.wait, before: old, show: &screen{out: &strings.Builder{}}}
		end := ""
		for i, st := range tc.news {
			if st.Payload.Version == "" {
				st.Payload.Hash = ""
			}
			over, text, err := a.hear(st)
			if err != nil {
				text = "error: " + err.Error()
			}
			if over || err != nil {
				if end = text; i < len(tc.news)-1 {
					t.Errorf("%s: it ended early, with %q", name, end)
				}
				break
			}
		}
		if a.again != strings.HasPrefix(tc.want, "the next supervisor") && name != "it came by itself" {
			t.Errorf("%s: ask again: %v", name, a.again)
		}
		if end != tc.want && (tc.want == "" || !strings.HasPrefix(end, tc.want)) {
			t.Errorf("%s: it ended with %q, want %q", name, end, tc.want)
		}
	}
}

// Rule: who asked a supervisor that ended, and after which none comes, does not wait
// for ever.
func TestAnswerOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := status.Status{Version: 1, Supervisor: status.Supervisor{PID: 1}, Payload: status.Payload{Hash: "x"}}
		a := &awaited{id: "me", op: "force", wait: true, before: old, show: &screen{out: &strings.Builder{}}}
		old.Payload.Answers = []status.Answer{{ID: "me", Kind: status.AskAgain, Error: "later"}}
		news := make(chan status.Status, 2)
		news <- old
		news <- old
		code, err := a.await(context.Background(), news)
		wantRefusal(t, err, "no other is there")
		if code != program.ExitAgain {
			t.Errorf("exit %d", code)
		}
	})
}
