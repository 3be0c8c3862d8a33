//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portward/internal/program"
	"portward/internal/status"
)

// Rule: a supervisor that is killed costs no frame. netchild keeps its process
// and its life, is adopted, and its next death is judged by the successor.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--healthy", "200ms", "--hang", "2s"}})
	faults := []string{"crash", "deadlock", "livelock"}
	if testing.Short() {
		faults = faults[:2]
	}
	want := map[uint64]string{}
	for _, fault := range faults {
		before := r.aged(0)
		r.killSupervisor()
		after := r.until("netchild is adopted and every login has more frames", func(s snapshot) bool {
			st := r.told()
			return st.Supervisor.PID == job(s, string(supervisorTarget)).PID && st.NetChild.State == status.Up && grown(s, before)
		})
		was, is, st := job(before, string(netchildTarget)), job(after, string(netchildTarget)), r.told().NetChild
		if is.PID != was.PID || is.Life != was.Life || st.Life != was.Life || st.PID != was.PID {
			t.Errorf("netchild was life %d, pid %d; it is life %d, pid %d, and the status file says life %d, pid %d",
				was.Life, was.PID, is.Life, is.PID, st.Life, st.PID)
		}
		for _, x := range before.Sessions {
			if gaps := session(after, x.ID).Gaps; gaps != x.Gaps {
				t.Errorf("login %s had %d gaps before and %d after", x.ID, x.Gaps, gaps)
			}
		}
		want[r.fell(fault, 200*time.Millisecond)] = classOf[fault]
	}
	r.explained(want)
	for life := range uint64(len(faults)) {
		if e := r.endings(string(supervisorTarget))[life+1]; !strings.Contains(e.text, "signal 9") {
			t.Errorf("life %d of the supervisor: %+v", life+1, e)
		}
	}
	r.stop()
}

// killSupervisor kills it once it is up.
func (r *running) killSupervisor() {
	r.t.Helper()
	s := r.until("the supervisor is up", func(s snapshot) bool {
		pid := job(s, string(supervisorTarget)).PID
		return pid != 0 && r.told().Supervisor.PID == pid
	})
	pid := job(s, string(supervisorTarget)).PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	r.until("the supervisor is started again", func(s snapshot) bool {
		now := job(s, string(supervisorTarget)).PID
		return now != 0 && now != pid
	})
}

// Rule: supervisor and netchild may die in the same moment, of a crash too:
// every login streams again and explain tells of both.
func TestBothKilled(t *testing.T) {
	t.Parallel()
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--healthy", "200ms"}})
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		before := r.aged(0)
		for _, label := range []string{string(supervisorTarget), string(netchildTarget)} {
			syscall.Kill(job(before, label).PID, syscall.SIGKILL)
		}
		r.until("every login streams again and the supervisor is up", func(s snapshot) bool {
			st := r.told()
			return mended(s, before) && st.NetChild.State == status.Up && st.NetChild.Life == netchildLife(s) &&
				st.Supervisor.PID != job(before, string(supervisorTarget)).PID
		})
		for _, label := range []string{string(supervisorTarget), string(netchildTarget)} {
			life := job(before, label).Life
			if e, ok := r.endings(label)[life]; !ok || !strings.Contains(e.text, "signal 9") {
				t.Errorf("%s life %d: %+v, want signal 9", label, life, e)
			}
		}
	}
	r.stop()
}

// stopped says whether a process is stopped, proc(5).
func stopped(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "T")
}

// Rule: when up is killed no process of it is left after a second, whatever
// they are doing; what lies on disk is in the root and the next up removes it.
func TestUpKilled(t *testing.T) {
	asUsers(t, func(t *testing.T, uid int) {
		r := startUp(t, upSpec{uid: uid, args: []string{"--source", "testcard", "--hang", "1m"}})
		r.await("both stream", streaming)
		r.poke("guiagent/1", "--stop")
		r.poke("netchild", "--livelock")
		r.poke("supervisor", "--stop")
		s := r.await("the first agent and the supervisor are stopped", func(s snapshot) bool {
			return stopped(job(s, string(agentTarget("1"))).PID) && stopped(job(s, string(supervisorTarget)).PID)
		})
		pids := processesOf(r.root)
		if len(pids) != 4 {
			t.Fatalf("%d processes run, want 4: %+v", len(pids), s.Jobs)
		}
		token, err := os.ReadFile(filepath.Join(r.root, "state", "netchild", "viewer.token"))
		if err != nil {
			t.Fatal(err)
		}

		r.cmd.Process.Kill()
		<-r.done
		killed := time.Now()
		for len(processesOf(r.root)) > 0 && time.Since(killed) < time.Second {
			time.Sleep(5 * time.Millisecond)
		}
		if left := processesOf(r.root); len(left) > 0 {
			t.Fatalf("processes left after a second: %v of %v", left, pids)
		}
		t.Logf("the last process was gone %v after up", time.Since(killed).Round(time.Millisecond))

		var planted []string
		for _, dir := range []string{"run", "private", "log", "evidence", "seen", "etc", "status", "current", "build", "state", "state/netchild"} {
			path := filepath.Join(r.root, dir, "left")
			os.Mkdir(filepath.Dir(path), 0o755)
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			planted = append(planted, path)
		}
		if os.Geteuid() == 0 {
			os.Lchown(filepath.Join(r.root, "build"), uid, uid)
		}
		next := startUp(t, upSpec{uid: uid, root: r.root, args: []string{"--source", "testcard", "--for", "1s"}})
		next.finish(0)
		for _, path := range planted {
			if _, err := os.Lstat(path); err == nil {
				t.Errorf("%s is left", path)
			}
		}
		if again, err := os.ReadFile(filepath.Join(r.root, "state", "netchild", "viewer.token")); err != nil || string(again) != string(token) {
			t.Errorf("the viewer's token did not survive: %v", err)
		}
	})
}

// Rule: told to stop, up stops agents, then netchild, then the supervisor, each
// in order even where one is stopped, and leaves no process, socket or file
// outside its root.
func TestStopInOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal syscall.Signal
		poke   []string
	}{
		{syscall.SIGINT, nil},
		{syscall.SIGTERM, []string{"guiagent/1", "--stop"}},
	} {
		t.Run(c.signal.String(), func(t *testing.T) {
			tmp := t.TempDir()
			r := startUp(t, upSpec{env: []string{"TMPDIR=" + tmp}, args: []string{"--source", "testcard"}})
			r.aged(0)
			if c.poke != nil {
				r.poke(c.poke...)
				r.until("it is stopped", func(s snapshot) bool { return stopped(job(s, string(agentTarget("1"))).PID) })
			}
			r.cmd.Process.Signal(c.signal)
			r.finish(0)
			if left, _ := os.ReadDir(tmp); len(left) > 0 {
				t.Errorf("temporary files left: %v", left)
			}
			said := r.errs.String()
			order := []int{strings.Index(said, "\nstopping\n")}
			for _, label := range []string{string(agentTarget("1")), string(agentTarget("2")), string(netchildTarget), string(supervisorTarget)} {
				order = append(order, strings.Index(said, label+": life 1 ended: exit 0"))
			}
			if slices.Contains(order, -1) {
				t.Fatalf("not everybody ended with exit 0:\n%s", said)
			}
			order[1], order[2] = min(order[1], order[2]), max(order[1], order[2])
			if !slices.IsSorted(order) {
				t.Errorf("not in order:\n%s", said)
			}
		})
	}
}

// Rule: --for counts from the supervisor's start; then up ends by itself.
func TestFor(t *testing.T) {
	t.Parallel()
	began := time.Now()
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--for", "2s"}})
	rep := r.finish(0)
	if d := time.Since(began); d < 2*time.Second {
		t.Errorf("it lasted %v", d)
	}
	for _, s := range rep.Sessions {
		// The report's rate is over the whole run, so it tells how long that was.
		if d := float64(s.Frames) / s.FPS; d < 1.9 {
			t.Errorf("login %s: %d frames at %.2f/s make %.2f s", s.ID, s.Frames, s.FPS, d)
		}
	}
}

// Rule: a second up on the same root is told who runs there, ends with 75, and
// the first does not notice.
func TestSecondUp(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, uid int) {
		r := startUp(t, upSpec{uid: uid, args: []string{"--source", "testcard"}})
		before := r.await("both stream", streaming)
		sockets, _ := os.ReadDir(program.RunDir(r.root))
		_, errs, code := portwardAs(t, uid, "up", "--root", r.root, "--for", "1s")
		if code != program.ExitAgain || !strings.Contains(errs, fmt.Sprintf("(pid %d)", r.cmd.Process.Pid)) {
			t.Errorf("exit %d, want %d and pid %d: %s", code, program.ExitAgain, r.cmd.Process.Pid, errs)
		}
		after := r.await("both have more frames", func(s snapshot) bool { return grown(s, before) })
		for _, j := range before.Jobs {
			if now := job(after, j.Label); now.PID != j.PID || now.Life != j.Life {
				t.Errorf("%s was life %d, pid %d, and is life %d, pid %d", j.Label, j.Life, j.PID, now.Life, now.PID)
			}
		}
		for _, x := range before.Sessions {
			if gaps := session(after, x.ID).Gaps; gaps != x.Gaps {
				t.Errorf("login %s had a gap", x.ID)
			}
		}
		if now, _ := os.ReadDir(program.RunDir(r.root)); len(now) != len(sockets) {
			t.Errorf("sockets before %v and after %v", sockets, now)
		}
		r.stop()
	})
}
