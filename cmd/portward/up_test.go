package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"portward/launchd"
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

// Rule: what others may see and reach of a running up is what the files table
// of docs/processes.md says.
func TestModes(t *testing.T) {
	asUsers(t, func(t *testing.T, uid int) {
		elsewhere := newRoot(t, uid)
		r := startUp(t, upSpec{uid: uid, args: []string{"--source", "testcard"}, env: []string{"HOME=" + elsewhere, "TMPDIR=" + elsewhere}})
		s := r.await("both stream", streaming)
		uids := map[uint32]bool{}
		for _, j := range s.Jobs {
			fi, err := os.Stat(filepath.Join("/proc", strconv.Itoa(j.PID)))
			if err != nil {
				t.Fatal(err)
			}
			uids[ownerOf(fi)] = true
		}
		if want := map[bool]int{true: 4, false: 1}[uid == 0]; len(uids) != want {
			t.Errorf("the four jobs run under %d uids, want %d", len(uids), want)
		}
		door := os.FileMode(0o600)
		if uid == 0 {
			door = 0o666
		}
		for path, mode := range map[string]os.FileMode{
			"current": 0o755, "etc/portward.json": 0o640, "status/status.json": 0o644, "log": 0o700,
			"evidence": 0o700, "seen": 0o700, "state/netchild": 0o700, "run/" + controlName: 0o600,
			"run/" + launchd.CheckInService: 0o600, "run/" + launchd.NetChildService: door,
		} {
			fi, err := os.Stat(filepath.Join(r.root, path))
			if err != nil || fi.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v, want mode %v", path, fi, err, mode)
			}
		}
		r.poke("netchild", "--crash")
		r.await("the verdict is there", func(s snapshot) bool { return job(s, string(netchildTarget)).Verdict == "crash" && streaming(s) })
		b, err := os.ReadFile(filepath.Join(r.root, "status", "status.json"))
		if err != nil || strings.Contains(string(b), "told to crash") {
			t.Errorf("the status file repeats what the process said: %s, %v", b, err)
		}
		if _, errs, code := portwardAs(t, os.Geteuid(), "status", "--root", r.root); code != 0 {
			t.Errorf("status: exit %d: %s", code, errs)
		}
		r.stop()
		if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
			t.Errorf("written outside the root: %v, %v", entries, err)
		}
	})
}
