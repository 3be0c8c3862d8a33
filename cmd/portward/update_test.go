//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portward/internal/bundle"
	"portward/internal/program"
	"portward/internal/status"
)

// agentSaid answers whether the log of login 1's agent has such a line.
func (r *running) agentSaid(text string) bool {
	b, _ := os.ReadFile(logPath(r.root, agentTarget("1")))
	return strings.Contains(string(b), text)
}

// tells answers what `portward status` prints.
func (r *running) tells() string {
	r.t.Helper()
	out, errs, code := portwardAs(r.t, r.uid, "status", "--root", r.root)
	if code != 0 {
		r.t.Fatalf("status: exit %d: %s", code, errs)
	}
	return out
}

// ends answers how many processes that a login's frames pass through have ended.
func (r *running) ends(session string) int {
	r.t.Helper()
	return len(r.endings(string(netchildTarget))) + len(r.endings(string(agentTarget(session))))
}

// Rule: up on an empty root has no netchild. While the first release comes
// slowly, status and agents say so and how far it is; a server that dies
// meanwhile and comes back costs no more than time; then every login streams.
// A second release, in which every program is another one, is taken without
// anybody's doing and as patches, and costs no login more gaps than explain
// lists ends. When the repository cannot be reached, what is installed runs on,
// and status says why nothing new comes.
func TestFirstInstall(t *testing.T) {
	t.Parallel()
	c := openChannel(t, "first")
	n := c.d.startNginx(t, "2m")
	r := c.up(n, upSpec{}, "--trial-window", "1s")
	s := r.until("the first release is being downloaded", func(snapshot) bool {
		p := r.told().Payload
		return p.State == status.NoPayload && p.Phase == status.Downloading && p.Progress != nil &&
			p.Progress.Unit == "bytes" && p.Progress.Done > 0 && p.Progress.Done < p.Progress.Total
	})
	if pid := job(s, string(netchildTarget)).PID; pid != 0 {
		t.Errorf("there is no release, and netchild is pid %d", pid)
	}
	if text := r.tells(); !strings.Contains(text, "no release yet; downloading [") {
		t.Errorf("status does not say that there is no release yet:\n%s", text)
	}
	r.until("the agent tells of the download", func(snapshot) bool { return r.agentSaid("no release yet: downloading ") })
	n.kill()
	n.start(need(t, "nginx"))
	before := r.serves("1.0.0")
	if n.said(`" 206 `) == 0 {
		t.Error("the download was not resumed")
	}
	if p := r.told().Payload; p.State != status.Installed || p.Channel != c.name {
		t.Errorf("the payload is %+v", p)
	}

	gaps, ends := session(before, "1").Gaps, r.ends("1")
	sent := n.sent()
	c.offer("1.1.0", "all", "--deltas", "1")
	r.serves("1.1.0")
	if sent := n.sent() - sent; sent > 2<<20 {
		t.Errorf("%d bytes were sent; its patches are less than one MB, its blobs more than ten", sent)
	}
	after := r.until("its trial is committed", func(snapshot) bool {
		return strings.Contains(r.explain(), "release committed: 1.1.0 (")
	})
	if p := r.told().Payload; p.Previous != "1.0.0" {
		t.Errorf("retained is %q: %+v", p.Previous, p)
	}
	gaps, ends = session(after, "1").Gaps-gaps, r.ends("1")-ends
	if gaps > uint64(ends) {
		t.Errorf("login 1 had %d gaps, and explain lists %d ends:\n%s", gaps, ends, r.explain())
	}
	t.Logf("the second release cost %d gaps: %.0f ms the last", gaps, session(after, "1").LastGapMS)

	n.kill()
	before = r.until("status says why nothing new comes", func(snapshot) bool { return r.told().Payload.Error != "" })
	if text := r.tells(); !strings.Contains(text, "the last attempt: ") || !strings.Contains(text, "1.1.0") {
		t.Errorf("status says of a repository that is gone:\n%s", text)
	}
	r.until("every login streams on", func(s snapshot) bool { return grown(s, before) })
	n.start(need(t, "nginx"))
	after = r.until("the repository is back", func(snapshot) bool { return r.told().Payload.Error == "" })
	if was, is := job(before, string(netchildTarget)), job(after, string(netchildTarget)); is.Life != was.Life {
		t.Errorf("netchild was life %d before the repository came back, and is life %d", was.Life, is.Life)
	}
	r.stop()
}

// Rule: a first release that fails leaves what was there before: no payload,
// the release denied, and agents that wait for the next one. All of it as an
// ordinary user as well.
func TestFirstInstallFails(t *testing.T) {
	t.Parallel()
	c := emptyChannel(t, "failed")
	c.offer("1.0.0", "crash")
	uid := os.Geteuid()
	if uid == 0 {
		uid = ordinaryUID
	}
	r := c.up(c.d.startNginx(t, ""), upSpec{uid: uid}, "--trial-window", "1s")
	d := r.denied("1.0.0")
	if !strings.HasPrefix(d.Why, "crash: ") {
		t.Errorf("denied because of %q", d.Why)
	}
	r.leftAlone("1.0.0", seedVersion)
	s, err := r.status()
	if p := r.told().Payload; err != nil || p.State != status.NoPayload || job(s, string(netchildTarget)).PID != 0 {
		t.Errorf("%v; there is %+v, and netchild is %+v", err, p, job(s, string(netchildTarget)))
	}
	if text := r.tells(); !strings.Contains(text, "no release yet") || !strings.Contains(text, "denied: 1.0.0") {
		t.Errorf("status says:\n%s", text)
	}
	for _, id := range []string{"1", "2"} {
		if job(s, string(agentTarget(id))).PID == 0 {
			t.Errorf("the agent of login %s does not wait", id)
		}
	}
	c.offer("1.0.1", "")
	r.serves("1.0.1")
	r.stop()
}

// asks runs a verb that speaks to the supervisor, and answers what it says.
func (r *running) asks(code int, args ...string) string {
	r.t.Helper()
	out, errs, got := portwardAs(r.t, r.uid, append(args, "--root", r.root)...)
	if got != code {
		r.t.Errorf("%v: exit %d, want %d: %s%s", args, got, code, out, errs)
	}
	return out + errs
}

// quiet waits until the supervisor has nothing to do for long.
func (r *running) quiet(version string) snapshot {
	r.t.Helper()
	r.until(version+" is there and nothing else is planned", func(snapshot) bool {
		p := r.told().Payload
		return p.Version == version && p.Trial == nil && p.Phase == status.Idle && time.Until(p.Next) > 10*time.Minute
	})
	return r.serves(version)
}

// Rule: a person may look, take a release, go back, allow what was denied, and
// take a release whose turn has not come; a recall goes back by itself.
func TestUpdateVerbs(t *testing.T) {
	t.Parallel()
	c := openChannel(t, "verbs")
	r := c.up(c.d.startNginx(t, ""), upSpec{}, "--trial-window", "1s", "--check-every", "1h")
	says := func(said, want string) {
		t.Helper()
		if !strings.Contains(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	}
	r.quiet("1.0.0")
	says(r.asks(program.ExitAgain, "unblock", "1.1.0"), `no release "1.1.0" is denied`)

	c.offer("1.1.0", "second")
	says(r.asks(0, "update", "--check"), "1.1.0 is available")
	r.quiet("1.0.0")
	says(r.asks(0, "update"), "1.1.0 is in place")
	r.quiet("1.1.0")
	says(r.asks(0, "update"), "1.1.0 is up to date")

	r.asks(0, "rollback")
	r.quiet("1.0.0")
	says(r.denied("1.1.0").Why, "rolled back by a person")
	refused := r.asks(program.ExitAgain, "update", "--now")
	says(refused, "1.1.0 is denied: ")
	says(refused, "hint: portward unblock 1.1.0")
	says(r.asks(program.ExitAgain, "rollback"), "nothing to go back to")
	r.quiet("1.0.0")
	says(r.asks(0, "unblock", "1.1.0"), "at the next check")
	says(r.asks(0, "update", "--now", "--wait"), "1.1.0")
	r.quiet("1.1.0")

	c.offer("1.2.0", "", "--rollout", "0%")
	says(r.asks(program.ExitAgain, "update"), "1.2.0 waits: it is not this machine's turn")
	says(r.asks(0, "update", "--check"), "1.2.0 waits: it is not this machine's turn")
	r.quiet("1.1.0")
	says(r.tells(), "1.2.0 waits: it is not this machine's turn")
	says(r.asks(0, "update", "--now", "--wait"), "1.2.0 passed its trial")
	r.quiet("1.2.0")

	c.publish("--recall", "1.2.0")
	r.asks(0, "update")
	r.quiet("1.1.0")
	says(r.denied("1.2.0").Why, "recalled")
	says(r.explain(), "release denied: 1.2.0 (")
	r.stop()
}

// Rule: a session that asks not to be disturbed holds a release back, a
// security release for ten minutes at most, and status says until when. A
// person overrides it.
func TestLeases(t *testing.T) {
	t.Parallel()
	c := openChannel(t, "leases")
	r := c.up(c.d.startNginx(t, ""), upSpec{env: []string{"PORTWARD_LEASE=1h"}}, "--trial-window", "1s")
	r.serves("1.0.0")
	waits := func(version string, from, to time.Duration) {
		t.Helper()
		r.until(version+" waits", func(snapshot) bool {
			d := r.told().Payload.Deferred
			return d != nil && d.Version == version && d.Why == "a session is not to be disturbed" &&
				time.Until(d.Until) > from && time.Until(d.Until) <= to
		})
		if text := r.tells(); !strings.Contains(text, version+" waits: a session is not to be disturbed, until ") {
			t.Errorf("status does not say what waits:\n%s", text)
		}
	}
	c.offer("1.1.0", "second")
	waits("1.1.0", 30*time.Minute, time.Hour)
	c.offer("1.2.0", "", "--security")
	waits("1.2.0", 0, 10*time.Minute)
	if said := r.asks(program.ExitAgain, "update"); !strings.Contains(said, "a session is not to be disturbed") {
		t.Errorf("update says %q", said)
	}
	r.serves("1.0.0")
	r.asks(0, "update", "--now")
	r.serves("1.2.0")
	r.stop()
}

// Rule: a supervisor that is killed while it downloads goes on where it was.
// One that is killed once in each half of a trial passes it; one that is killed
// at each start does not.
func TestSupervisorKilledInUpdates(t *testing.T) {
	t.Parallel()
	c := openChannel(t, "killed")
	n := c.d.startNginx(t, "2m")
	r := c.up(n, upSpec{}, "--trial-window", "4s")
	r.until("a good part is downloaded", func(snapshot) bool {
		g := r.told().Payload.Progress
		return r.told().Payload.Phase == status.Downloading && g != nil && g.Unit == "bytes" && g.Done > 2<<20
	})
	r.killSupervisor()
	r.serves("1.0.0")
	if n.said(`" 206 `) == 0 {
		t.Error("the download began anew")
	}

	kill := func(what string, ok func(status.Trial) bool) {
		t.Helper()
		pid := 0
		r.until(what, func(s snapshot) bool {
			st := r.told()
			pid = st.Supervisor.PID
			return st.Payload.Trial != nil && ok(*st.Payload.Trial) && pid == job(s, string(supervisorTarget)).PID
		})
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	c.offer("1.1.0", "second")
	kill("1.1.0 is on trial", func(p status.Trial) bool { return p.Version == "1.1.0" && !p.Cold })
	kill("1.1.0 was started cold", func(p status.Trial) bool { return p.Version == "1.1.0" && p.Cold })
	r.serves("1.1.0")

	c.offer("1.2.0", "")
	for n := range 3 {
		kill(fmt.Sprintf("1.2.0 is started for the %d. time after its cold start", n+1), func(p status.Trial) bool {
			return p.Version == "1.2.0" && p.Cold && p.Attempts == n+1
		})
	}
	if d := r.denied("1.2.0"); !strings.Contains(d.Why, "started too often") {
		t.Errorf("1.2.0 is denied because of %q", d.Why)
	}
	r.serves("1.1.0")
	r.leftAlone("1.2.0", "1.1.0")
	r.stop()
}

// Rule: the fetcher has an account of its own, and one that was taken over
// writes nowhere but into its cache, reads no secret and signals nobody.
func TestFetcherTaken(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give the fetcher an account")
	}
	t.Parallel()
	c := openChannel(t, "taken")
	r := c.up(c.d.startNginx(t, "2m"), upSpec{bin: c.d.binWith(t, "fetcher taken")}, "--trial-window", "1s")
	list := filepath.Join(program.FetchDir(r.root), "could")
	var could []byte
	r.until("the fetcher has tried", func(snapshot) bool {
		could, _ = os.ReadFile(list)
		return len(could) > 0
	})
	fi, err := os.Stat(program.FetchDir(r.root))
	if err != nil {
		t.Fatal(err)
	}
	state, err := os.Stat(program.StateDir(r.root))
	if err != nil {
		t.Fatal(err)
	}
	if uid := ownerOf(fi); uid == 0 || uid == ownerOf(state) {
		t.Errorf("the cache belongs to uid %d", uid)
	}
	if want := fmt.Sprintf("as uid %d, before it gave files up: reads people\nafter:\n", ownerOf(fi)); string(could) != want {
		t.Errorf("the fetcher could:\n%s\nwant no more than:\n%s", could, want)
	}
	filepath.WalkDir(r.root, func(path string, _ os.DirEntry, _ error) error {
		inside := path == filepath.Dir(list) || strings.HasPrefix(path, filepath.Dir(list)+"/")
		if is, err := os.Lstat(path); err == nil && ownerOf(is) == ownerOf(fi) && !inside {
			t.Errorf("%s belongs to the fetcher", path)
		}
		return nil
	})
	r.cmd.Process.Signal(os.Interrupt)
	r.finish(program.ExitAgain) // nobody streamed yet
}

// Rule: without a repository that answers up does not begin, and says why. One
// that was signed with other keys than those that are trusted installs nothing,
// and status says why.
func TestWrongRepository(t *testing.T) {
	t.Parallel()
	c := openChannel(t, "foreign")
	gone := c.d.startNginx(t, "")
	gone.kill()
	alone := c.up(gone, upSpec{})

	n := c.d.startNginx(t, "")
	keys := t.TempDir()
	at := func(name string) string { return filepath.Join(keys, name) }
	if err := c.d.tool(c.bin, "keys", "init", "--repo", at("repo"),
		"--root", at("r1")+","+at("r2")+","+at("r3"), "--targets", at("targets"), "--online", at("online")); err != nil {
		t.Fatal(err)
	}
	r := c.up(n, upSpec{}, "--trust", at("repo/metadata/1.root.json"))
	r.until("status says that the repository is not to be trusted", func(snapshot) bool {
		p := r.told().Payload
		return p.State == status.NoPayload && strings.Contains(p.Error, "signature")
	})
	if n.sent() > 0 {
		t.Error("contents were fetched that nobody vouches for")
	}
	r.cmd.Process.Signal(os.Interrupt)
	r.finish(program.ExitAgain) // nobody streamed

	alone.finish(program.ExitAgain)
	if said := alone.errs.String(); !strings.Contains(said, gone.url()) || !strings.Contains(said, "hint: ") {
		t.Errorf("up says:\n%s", said)
	}
}

// Rule: a bundle that does not say any more whom to trust is helped by the roots
// that were kept. Where these are gone as well it runs on, a supervisor that
// starts then included, and status says why nothing new comes.
func TestNobodyTrusted(t *testing.T) {
	t.Parallel()
	c := openChannel(t, "nobody")
	r := c.up(c.d.startNginx(t, ""), upSpec{}, "--trial-window", "1s")
	r.serves("1.0.0")
	spoil := func() {
		t.Helper()
		root := filepath.Join(bundle.Layout(program.BundleDir(r.root)).Tuf(), "root.json")
		if err := os.Truncate(root, 0); err != nil {
			t.Fatal(err)
		}
	}
	spoil()
	r.killSupervisor()
	c.offer("1.1.0", "second")
	r.until("1.1.0 has passed its trial", func(snapshot) bool {
		p := r.told().Payload
		return p.Version == "1.1.0" && p.Trial == nil && p.Phase == status.Idle
	})

	spoil()
	update := program.UpdateDir(r.root)
	if err := errors.Join(os.RemoveAll(filepath.Join(update, "trust")), os.RemoveAll(filepath.Join(update, "beside", bundle.Name))); err != nil {
		t.Fatal(err)
	}
	r.killSupervisor()
	c.offer("1.2.0", "")
	r.until("status says that nobody is trusted", func(snapshot) bool {
		return strings.Contains(r.told().Payload.Error, "nobody is trusted: ")
	})
	before := r.serves("1.1.0")
	r.poke("netchild", "--crash")
	r.until("every login streams again", func(s snapshot) bool { return mended(s, before) })
	r.stop()
}
