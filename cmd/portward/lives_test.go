//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"portward/internal/config"
	"portward/internal/evidence"
	"portward/internal/program"
	"portward/internal/status"
)

// glance is status without a process of its own, so that it can be asked often.
func (r *running) glance() (snapshot, error) {
	if r.uid != os.Geteuid() {
		return r.status()
	}
	resp, err := ask(r.root, request{Op: "snapshot"})
	return resp.Snapshot, err
}

// until waits, looking often, until ok holds.
func (r *running) until(what string, ok func(snapshot) bool) snapshot {
	r.t.Helper()
	var last snapshot
	for end := time.Now().Add(patience); time.Now().Before(end) && !r.gone(); time.Sleep(15 * time.Millisecond) {
		if s, err := r.glance(); err == nil {
			last = s
			if ok(s) {
				return s
			}
		}
	}
	r.t.Fatalf("waited in vain until %s; the last status: %+v\nup said:\n%s", what, last, r.errs)
	return last
}

// told answers the status file.
func (r *running) told() status.Status {
	st, _ := status.Read(program.StatusPath(r.root))
	return st
}

func netchildLife(s snapshot) uint64 { return job(s, string(netchildTarget)).Life }

// grown says whether every login has more frames than before, and no open gap.
func grown(s, before snapshot) bool {
	for _, x := range before.Sessions {
		if now := session(s, x.ID); now.Frames <= x.Frames || now.Broken {
			return false
		}
	}
	return len(s.Sessions) >= len(before.Sessions)
}

// mended says whether every login had a gap since before and streams again.
func mended(s, before snapshot) bool {
	for _, x := range before.Sessions {
		if session(s, x.ID).Gaps <= x.Gaps {
			return false
		}
	}
	return grown(s, before)
}

// aged waits until every login streams from a life of netchild that was seen up
// for so long.
func (r *running) aged(age time.Duration) snapshot {
	r.t.Helper()
	life, since := uint64(0), time.Time{}
	return r.until(fmt.Sprintf("a life of netchild is up for %v", age), func(s snapshot) bool {
		if c := r.told().NetChild; c.State != status.Up || c.Life != netchildLife(s) {
			life = 0
		} else if c.Life != life {
			life, since = c.Life, time.Now()
		}
		return life != 0 && time.Since(since) > age && streaming(s)
	})
}

// fell makes netchild fail once it is healthy, and waits until every login
// streams again. It answers the life that failed.
func (r *running) fell(fault string, healthy time.Duration) uint64 {
	r.t.Helper()
	before := r.aged(healthy + healthy/10 + 50*time.Millisecond)
	if before.Held != "" {
		r.t.Fatalf("held in spite of healthy lives: %s", before.Held)
	}
	life := netchildLife(before)
	if _, err := ask(r.root, request{Op: "poke", Job: "netchild", Fault: fault}); err != nil {
		r.t.Fatal(err)
	}
	r.until(fmt.Sprintf("every login streams again after the %s of life %d", fault, life), func(s snapshot) bool {
		return netchildLife(s) > life && mended(s, before)
	})
	return life
}

// classOf is what explain calls the fault.
var classOf = map[string]string{
	"crash": "crash", "deadlock": "hang/deadlock", "livelock": "hang/livelock", "stop": "stopped",
}

// An ending is what explain tells of one life.
type ending struct{ class, text, evidence string }

var (
	endingLine   = regexp.MustCompile(`(?m)^[-0-9]{10} [0-9:.]{12}  (\S+) life (\d+), after \S+: ([^:]+): (.*)\n    evidence: (.*)$`)
	droppedLine  = regexp.MustCompile(`(?m)^dropped to stay within the bound on verdicts: (\d+) records, (\d+) files`)
	evidenceKept = evidence.Limits{Blobs: 32} // the default, as package evidence documents it
)

// endings reads what explain prints about one job, a life at most once.
func (r *running) endings(label string) map[uint64]ending {
	r.t.Helper()
	all := map[uint64]ending{}
	for _, m := range endingLine.FindAllStringSubmatch(r.explain(), -1) {
		life, _ := strconv.ParseUint(m[2], 10, 64)
		if m[1] != label {
			continue
		}
		if _, twice := all[life]; twice {
			r.t.Errorf("explain tells of %s life %d twice", label, life)
		}
		all[life] = ending{m[3], m[4], m[5]}
	}
	return all
}

// explained checks that explain names the end of each of these lives of
// netchild by its class, with evidence that is there and about that life. Which
// of the two hangs it was may be judged wrongly on a machine that leaves a loop
// little CPU time.
func (r *running) explained(want map[uint64]string) {
	r.t.Helper()
	got := r.endings(string(netchildTarget))
	blobs := 0
	for _, life := range slices.Sorted(maps.Keys(want)) {
		e, ok := got[life]
		switch {
		case !ok:
			r.t.Errorf("explain does not tell of life %d (%s)", life, want[life])
			continue
		case strings.HasPrefix(e.class, "hang/") && strings.HasPrefix(want[life], "hang/"):
			if e.class != want[life] {
				r.t.Logf("life %d: %s (%s), want %s", life, e.class, e.text, want[life])
			}
		case e.class != want[life]:
			r.t.Errorf("life %d: %s (%s), want %s", life, e.class, e.text, want[life])
		}
		text, err := os.ReadFile(e.evidence)
		if err != nil {
			r.t.Errorf("life %d: evidence: %v", life, err)
		}
		if filepath.Dir(e.evidence) == program.EvidenceDir(r.root) {
			blobs++
			if first := fmt.Sprintf("life %d: %s: ", life, e.class); !strings.HasPrefix(string(text), first) {
				r.t.Errorf("life %d: the evidence begins with %.60q", life, text)
			}
			if !strings.Contains(string(text), "goroutine ") {
				r.t.Errorf("life %d (%s): no stacks in %s", life, e.class, e.evidence)
			}
		}
	}
	bound := evidenceKept.Blobs
	if most := min(bound, len(got)); blobs > bound || blobs < min(bound, len(want)) {
		r.t.Errorf("%d evidence files of %d deaths, want %d", blobs, len(want), most)
	}
	dropped := droppedLine.FindStringSubmatch(r.explain())
	if lost := len(got) - bound; lost > 0 && (dropped == nil || dropped[2] != strconv.Itoa(lost)) {
		r.t.Errorf("%d deaths, %d files kept, and explain counts %q", len(got), bound, dropped)
	}
}

// holdings is how much the lasting processes hold: descriptors, and memories of
// several processes among them and mapped.
func (r *running) holdings() map[string]int {
	s, err := r.glance()
	if err != nil {
		r.t.Fatal(err)
	}
	pids := map[string]int{"up": r.cmd.Process.Pid}
	for _, j := range s.Jobs {
		if j.Label != string(netchildTarget) {
			pids[j.Label] = j.PID
		}
	}
	h := map[string]int{}
	for name, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/", pid)
		fds, _ := os.ReadDir(dir + "fd")
		h[name+": descriptors"] = len(fds)
		for _, fd := range fds {
			if to, _ := os.Readlink(dir + "fd/" + fd.Name()); strings.HasPrefix(to, "/memfd:") {
				h[name+": memfds"]++
			}
		}
		text, _ := os.ReadFile(dir + "maps")
		h[name+": mapped memfds"] = strings.Count(string(text), "/memfd:")
	}
	return h
}

// least is the smallest of several looks: what is open for a moment only is no
// holding.
func (r *running) least() map[string]int {
	h := r.holdings()
	for range 20 {
		time.Sleep(20 * time.Millisecond)
		for k, n := range r.holdings() {
			h[k] = min(h[k], n)
		}
	}
	return h
}

// noMore checks that nobody holds more than before.
func (r *running) noMore(before map[string]int) {
	r.t.Helper()
	var more []string
	for range 5 {
		more = nil
		now := r.least()
		for _, k := range slices.Sorted(maps.Keys(now)) {
			if now[k] > before[k] {
				more = append(more, fmt.Sprintf("%s: %d, before %d", k, now[k], before[k]))
			}
		}
		if more == nil {
			r.t.Logf("held before %v and after %v", before, now)
			return
		}
	}
	r.t.Errorf("leaked: %s", strings.Join(more, "; "))
}

// goroutines ends the present supervisor so that it writes its stacks, and
// answers how many they are.
func (r *running) goroutines(nth int) int {
	r.t.Helper()
	pid := job(r.until("the supervisor is up", func(s snapshot) bool {
		pid := job(s, string(supervisorTarget)).PID
		return pid != 0 && r.told().Supervisor.PID == pid && r.told().NetChild.State == status.Up
	}), string(supervisorTarget)).PID
	syscall.Kill(pid, syscall.SIGQUIT)
	r.until("the supervisor is started again", func(s snapshot) bool {
		now := job(s, string(supervisorTarget)).PID
		return now != 0 && now != pid
	})
	log, err := os.ReadFile(filepath.Join(r.root, "log", "supervisor.log"))
	if err != nil {
		r.t.Fatal(err)
	}
	dumps := strings.Split(string(log), "SIGQUIT: quit")
	if len(dumps) != nth+1 {
		r.t.Fatalf("%d dumps in the supervisor's log, want %d", len(dumps)-1, nth)
	}
	return strings.Count(dumps[nth], "\ngoroutine ")
}

// Rule: netchild may crash and hang as often as it likes, if each life was
// healthy before: every login streams again each time, every death is explained
// within the bound of evidence, and those who live on hold nothing of the dead.
func TestLives(t *testing.T) {
	t.Parallel()
	crashes, hangs := 60, 15
	if testing.Short() {
		crashes, hangs = 8, 4
	}
	const healthy = 200 * time.Millisecond
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--healthy", healthy.String(), "--hang", "600ms"}})
	want := map[uint64]string{}
	fail := func(fault string) { want[r.fell(fault, healthy)] = classOf[fault] }
	for _, fault := range []string{"crash", "deadlock", "crash"} {
		fail(fault) // what is made once is made by now
	}
	before := r.least()
	every := (crashes + hangs) / hangs
	for n, hung := 0, 0; n < crashes+hangs; n++ {
		switch {
		case n%every != every-1 || hung == hangs:
			fail("crash")
		case hung%2 == 0:
			hung++
			fail("deadlock")
		default:
			hung++
			fail("livelock")
		}
	}
	r.aged(healthy)
	r.noMore(before)
	if got := len(want); got != crashes+hangs+3 {
		t.Errorf("%d lives failed, want %d", got, crashes+hangs+3)
	}
	r.explained(want)
	if old, fresh := r.goroutines(1), r.goroutines(2); old > fresh+len(want)/8 {
		t.Errorf("the supervisor had %d goroutines after %d deaths, its successor %d", old, len(want), fresh)
	} else {
		t.Logf("the supervisor had %d goroutines after %d deaths, its successor %d", old, len(want), fresh)
	}
	rep := r.stop()
	for _, s := range rep.Sessions {
		slices.Sort(s.GapsMS)
		t.Logf("login %s: %d gaps, median %.0f ms, longest %.0f ms", s.ID, len(s.GapsMS), s.GapsMS[len(s.GapsMS)/2], s.GapsMS[len(s.GapsMS)-1])
	}
}

// Rule: the same with the values that are shipped.
func TestShippedValues(t *testing.T) {
	t.Parallel()
	faults := []string{"crash", "deadlock", "livelock"}
	if testing.Short() {
		faults = faults[:1]
	}
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	want := map[uint64]string{}
	for _, fault := range faults {
		want[r.fell(fault, time.Duration(config.Default().Healthy))] = classOf[fault]
	}
	r.explained(want)
	r.stop()
}

// Rule: a screen on which nothing happens is no hang: the loop that nobody
// gives work asks itself.
func TestStaticScreen(t *testing.T) {
	t.Parallel()
	const limit = 500 * time.Millisecond
	r := startUp(t, upSpec{args: []string{"--source", "static", "--hang", limit.String()}})
	first := r.aged(0)
	still := r.aged(5 * limit)
	if was, is := job(first, string(netchildTarget)), job(still, string(netchildTarget)); is.Life != 1 || is.PID != was.PID {
		t.Errorf("netchild was life %d, pid %d, and is life %d, pid %d:\n%s", was.Life, was.PID, is.Life, is.PID, r.explain())
	}
	for _, s := range still.Sessions {
		if s.Gaps != 0 {
			t.Errorf("login %s had %d gaps", s.ID, s.Gaps)
		}
	}
	r.stop()
}

// Rule: a netchild that dies after every check-in is started so often as is
// documented, then not before the announced time, is explained, and streams
// unaided once it may live.
func TestHeld(t *testing.T) {
	t.Parallel()
	fast := uint64(config.Default().FastDeaths)
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	before := r.aged(0)
	r.poke("netchild", "--crash", "--always")
	announced := map[uint64]time.Time{} // by the life after which it was
	for len(announced) < 2 {
		r.until(fmt.Sprintf("hold %d", len(announced)+1), func(snapshot) bool {
			c := r.told().NetChild
			_, known := announced[c.Life]
			return c.State == status.Held && !known
		})
		c := r.told().NetChild
		if c.State != status.Held {
			continue
		}
		announced[c.Life] = c.HeldUntil
		if want := fmt.Sprintf("%d fast deaths in a row", fast+uint64(len(announced))-1); !strings.Contains(c.Reason, want) {
			t.Errorf("held after life %d because of %q, want %q", c.Life, c.Reason, want)
		}
		if s, err := r.status(); err != nil || s.Held == "" && r.told().NetChild.State == status.Held {
			t.Errorf("status does not say that netchild is held: %+v, %v", s, err)
		}
		if !c.Next.Equal(c.HeldUntil) {
			t.Errorf("the next attempt is announced for %v, the hold until %v", c.Next, c.HeldUntil)
		}
	}
	r.poke("netchild", "--disarm")
	after := r.until("every login streams unaided", func(s snapshot) bool { return mended(s, before) })

	begun := r.beginnings()
	for life, until := range announced {
		if life < fast {
			t.Errorf("held after %d deaths, want %d", life, fast)
		}
		if start, ok := begun[life+1]; ok && start.Before(until) {
			t.Errorf("life %d was started %v before the announced time", life+1, until.Sub(start))
		}
	}
	if last := netchildLife(after); last != fast+2 {
		t.Errorf("the life that lives is %d: want %d that died before the first hold, one after it, and this", last, fast)
	}
	want := map[uint64]string{}
	for life := range fast + 1 {
		want[life+1] = "crash"
	}
	r.explained(want)
	r.stop()
	// The living life has ended now, so its start is known, too.
	if start, until := r.beginnings()[fast+2], announced[fast+1]; start.Before(until) {
		t.Errorf("life %d was started at %v, before the announced %v", fast+2, start, until)
	}
}

// beginnings answers when the lives of netchild that have ended were started.
func (r *running) beginnings() map[uint64]time.Time {
	r.t.Helper()
	seen, _, err := evidence.List(seenDir(r.root))
	if err != nil {
		r.t.Fatal(err)
	}
	begun := map[uint64]time.Time{}
	for _, e := range seen {
		if e.Job == string(netchildTarget) {
			begun[e.Life] = e.Time.Add(-e.Uptime)
		}
	}
	return begun
}
