package main

import (
	"os"
	"testing"
)

// asUsers runs a test as an ordinary user and, where the test is root, as root
// too.
func asUsers(t *testing.T, f func(t *testing.T, uid int)) {
	if os.Geteuid() != 0 {
		f(t, os.Geteuid())
		t.Run("root", func(t *testing.T) { t.Skip("needs root") })
		return
	}
	t.Run("user", func(t *testing.T) { f(t, ordinaryUID) })
	t.Run("root", func(t *testing.T) { f(t, 0) })
}

// Rule: one command, nobody starts netchild, every login streams, and the
// report says so.
func TestUp(t *testing.T) {
	asUsers(t, func(t *testing.T, uid int) {
		r := startUp(t, upSpec{uid: uid, args: []string{"--for", "4s", "--source", "testcard"}})
		rep := r.finish(0)
		if len(rep.Sessions) != 2 || !rep.streamed() {
			t.Errorf("sessions: %+v", rep.Sessions)
		}
		labels := map[string]uint64{}
		for _, j := range rep.Jobs {
			labels[j.Label] = j.Lives
		}
		for _, l := range []string{string(supervisorTarget), string(netchildTarget), string(agentTarget("1")), string(agentTarget("2"))} {
			if labels[l] != 1 {
				t.Errorf("%s had %d lives, want 1: %v", l, labels[l], labels)
			}
		}
	})
}

// Rule: each kind of failure of netchild is noticed, explained and survived.
func TestFaults(t *testing.T) {
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--healthy", "200ms", "--hang", "1s"}})
	r.await("both stream", streaming)
	for i, f := range []string{"crash", "deadlock", "livelock", "stop"} {
		before := r.await("netchild is up", func(s snapshot) bool { return streaming(s) && job(s, string(netchildTarget)).PID != 0 })
		r.poke("netchild", "--"+f)
		r.await("both stream again", func(s snapshot) bool {
			return job(s, string(netchildTarget)).Life > uint64(i+1) && streaming(s) &&
				session(s, "1").Frames > session(before, "1").Frames && session(s, "2").Frames > session(before, "2").Frames
		})
	}
	t.Log(r.explain())
	r.stop()
}
