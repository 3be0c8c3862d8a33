//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/bundle"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/launchd"
)

// plists answers the product's, to be twisted.
func plists(t *testing.T) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	err := fs.WalkDir(launchd.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(launchd.Files(), name)
		m[name] = &fstest.MapFile{Data: b, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// changing lets `up` find another bundle than the one it made, as if somebody
// had changed it before the supervisor first looked: the first supervisor is a
// script that puts it there.
func changing(t *testing.T, p fs.FS, tamper func(bundle.Layout) error) (bin string) {
	t.Helper()
	dir := filepath.Dir(newRoot(t, os.Geteuid()))
	bin = filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	real := map[string]string{}
	for _, name := range programs {
		from := filepath.Join(binDir(t), name)
		if err := os.Link(from, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
		real[name] = from
	}
	changed := filepath.Join(dir, bundle.Name)
	if err := installWhole(dir, real, p, func(string, ...any) {}, asBuilt); err != nil {
		t.Fatal(err)
	}
	if tamper != nil {
		if err := tamper(bundle.Layout(changed)); err != nil {
			t.Fatal(err)
		}
	}
	script := filepath.Join(bin, "supervisor")
	if err := os.Remove(script); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\nset -e\nmv \"$PORTWARD_ROOT/%[1]s\" \"$PORTWARD_ROOT/first\"\ncp -a '%[2]s' \"$PORTWARD_ROOT/\"\nexec \"$PORTWARD_ROOT/%[1]s/Contents/MacOS/supervisor\"\n", bundle.Name, changed)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}

// refused runs up to its end, which must be one with an error: 75, the reason
// on stderr, nothing left running, nothing left that only a running up needs.
func refused(t *testing.T, bin, root string, args ...string) (stderr string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "portward"), append([]string{"up", "--root", root, "--source", "testcard", "--json"}, args...)...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	timer := time.AfterFunc(2*patience, func() { cmd.Process.Kill() })
	err := cmd.Run()
	timer.Stop()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != program.ExitAgain {
		t.Errorf("exit %d, want %d", got, program.ExitAgain)
	}
	if left := processesOf(root); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	for _, dir := range []string{program.RunDir(root), filepath.Join(root, "private"), filepath.Join(root, "build")} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
	parseReport(t, out.String())
	return errs.String()
}

// Rule: a bundle that is not what its seal says, or whose job files cannot be
// understood, is refused before netchild is ever started, and up ends with the
// reason.
func TestRefusedBundle(t *testing.T) {
	const daemon, agent = "LaunchDaemons/dev.portward.netchild.plist", "LaunchAgents/dev.portward.guiagent.plist"
	twist := func(name, old, new string) func(fstest.MapFS) {
		return func(m fstest.MapFS) {
			was := string(m[name].Data)
			is := strings.Replace(was, old, new, 1)
			if is == was {
				panic(name + " has no " + old)
			}
			m[name] = &fstest.MapFile{Data: []byte(is), Mode: 0o644}
		}
	}
	for name, c := range map[string]struct {
		plists func(fstest.MapFS)
		tamper func(bundle.Layout) error
		want   []string
	}{
		"malformed daemon": {plists: twist(daemon, "</dict>\n</plist>", ""), want: []string{"dev.portward.netchild.plist"}},
		"unknown key":      {plists: twist(daemon, "<key>ExitTimeOut</key>", "<key>ExitTimeout</key>"), want: []string{"dev.portward.netchild.plist", "ExitTimeout"}},
		"wrong type":       {plists: twist(daemon, "<integer>5</integer>", "<string>five</string>"), want: []string{"dev.portward.netchild.plist", "ExitTimeOut"}},
		"malformed agent":  {plists: twist(agent, "<key>KeepAlive</key>", "<key>KeepAliv</key>"), want: []string{"dev.portward.guiagent.plist", "KeepAliv"}},
		"missing netchild": {tamper: func(l bundle.Layout) error { return os.Remove(l.Program("netchild")) }, want: []string{"Contents/MacOS/netchild", "not there"}},
		"group may write":  {tamper: func(l bundle.Layout) error { return os.Chmod(l.Program("netchild"), 0o775) }, want: []string{"Contents/MacOS/netchild", "others may write"}},
		"not executable":   {tamper: func(l bundle.Layout) error { return os.Chmod(l.Program("netchild"), 0o644) }, want: []string{"Contents/MacOS/netchild", "mode 0644"}},
		"set-uid":          {tamper: func(l bundle.Layout) error { return os.Chmod(l.Program("netchild"), 0o755|fs.ModeSetuid) }, want: []string{"Contents/MacOS/netchild", "set-id"}},
		"another netchild": {tamper: func(l bundle.Layout) error {
			return errors.Join(os.Remove(l.Program("netchild")), os.WriteFile(l.Program("netchild"), []byte("#!/bin/sh\n"), 0o755))
		}, want: []string{"Contents/MacOS/netchild", "the seal says"}},
		"a link": {tamper: func(l bundle.Layout) error {
			return errors.Join(os.Remove(l.Program("netchild")), os.Symlink("/bin/true", l.Program("netchild")))
		}, want: []string{"Contents/MacOS/netchild", "symbolic link"}},
		"a file more": {tamper: func(l bundle.Layout) error {
			return os.WriteFile(l.Program("helper"), nil, 0o755)
		}, want: []string{"Contents/MacOS/helper", "not listed"}},
		"no seal": {tamper: func(l bundle.Layout) error { return os.Remove(l.Seal()) }, want: []string{"seal.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plists(t)
			if c.plists != nil {
				c.plists(p)
			}
			root := newRoot(t, os.Geteuid())
			said := refused(t, changing(t, p, c.tamper), root, "--listen", "127.0.0.1:0")
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("up does not say %q:\n%s", want, said)
				}
			}
			if _, err := os.Stat(filepath.Join(root, "log", "netchild.log")); err == nil && name != "malformed agent" {
				t.Error("netchild was started")
			}
		})
	}
}

// Rule: an executable that is gone, or may not be executed, is a death like any
// other: netchild is held, explained, and back by itself once the file is.
func TestMissingExecutable(t *testing.T) {
	for name, c := range map[string]struct{ away, back func(path string) error }{
		"gone":           {func(p string) error { return os.Rename(p, p+".away") }, func(p string) error { return os.Rename(p+".away", p) }},
		"not executable": {func(p string) error { return os.Chmod(p, 0o600) }, func(p string) error { return os.Chmod(p, 0o755) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
			before := r.await("both stream", streaming)
			path := bundle.Layout(program.BundleDir(r.root)).Program("netchild")
			if err := c.away(path); err != nil {
				t.Fatal(err)
			}
			r.poke("netchild", "--crash")
			s := r.await("netchild is held", func(s snapshot) bool { return s.Held != "" })
			if v := job(s, string(netchildTarget)).Verdict; v != "start-failed" {
				t.Errorf("the verdict is %q", v)
			}
			if told := r.explain(); !strings.Contains(told, "start-failed") || !strings.Contains(told, path) {
				t.Errorf("explained:\n%s", told)
			}
			if err := c.back(path); err != nil {
				t.Fatal(err)
			}
			r.await("both stream again", func(s snapshot) bool {
				return streaming(s) && s.Held == "" && session(s, "1").Frames > session(before, "1").Frames && session(s, "2").Frames > session(before, "2").Frames
			})
			r.stop()
		})
	}
}

// Rule: an agent that cannot be started is tried again until it can, in its own
// session, and the other one is not concerned.
func TestMissingAgent(t *testing.T) {
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	before := r.await("both stream", streaming)
	path := bundle.Layout(program.BundleDir(r.root)).Program("guiagent")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	r.poke("guiagent/1", "--crash")
	r.await("the agent failed to start", func(snapshot) bool {
		return strings.Contains(r.explain(), string(agentTarget("1"))+" life 2, after 0s: start-failed")
	})
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	s := r.await("both stream again", func(s snapshot) bool {
		return streaming(s) && job(s, string(agentTarget("1"))).Life > 2 && session(s, "1").Frames > session(before, "1").Frames && session(s, "2").Frames > session(before, "2").Frames
	})
	if session(s, "2").Gaps != 0 || job(s, string(netchildTarget)).Life != 1 {
		t.Errorf("others were concerned: %+v", s)
	}
	r.stop()
}

// Rule: where nobody asked for a port, a taken one is no error: the viewer gets
// another, and up says so.
func TestDefaultPortTaken(t *testing.T) {
	const usual = "127.0.0.1:8443"
	if l, err := net.Listen("tcp", usual); err == nil {
		defer l.Close()
	} // else somebody else has it, which is as good
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--listen", ""}})
	s := r.await("both stream", streaming)
	if s.Viewer == "https://"+usual+"/" {
		t.Errorf("the viewer is at %s", s.Viewer)
	}
	if !strings.Contains(r.errs.String(), usual+" is taken") {
		t.Errorf("up said:\n%s", r.errs)
	}
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.Viewer, "https://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	r.stop()
}

// Rule: a root whose sockets have longer names than an address can hold works.
func TestLongRoot(t *testing.T) {
	asUsers(t, func(t *testing.T, uid int) {
		root := newRoot(t, uid)
		for len(root) < 300 {
			root = filepath.Join(root, strings.Repeat("long", 15))
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Chmod(filepath.Dir(root), 0o755), os.Lchown(root, uid, uid)); err != nil {
				t.Fatal(err)
			}
		}
		r := startUp(t, upSpec{uid: uid, root: root, args: []string{"--source", "testcard", "--healthy", "200ms"}})
		before := r.await("both stream", streaming)
		r.poke("netchild", "--crash")
		r.await("both stream again", func(s snapshot) bool {
			return streaming(s) && job(s, string(netchildTarget)).Life > job(before, string(netchildTarget)).Life && session(s, "1").Frames > session(before, "1").Frames
		})
		r.stop()
	})
}

// smallDisk answers a root that is a file system of its own, of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	root := newRoot(t, 0)
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size="+size+",mode=711"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return root
}

// Rule: a bundle that does not fit on the disk is a clear error, and takes no
// room when up has ended.
func TestDiskTooSmall(t *testing.T) {
	root := smallDisk(t, "4m")
	said := refused(t, binDir(t), root, "--listen", "127.0.0.1:0")
	if !strings.Contains(said, "no space left on device") || !strings.Contains(said, "the bundle") {
		t.Errorf("up said:\n%s", said)
	}
	if _, err := os.Stat(program.BundleDir(root)); err == nil {
		t.Error("half a bundle is left")
	}
}

// Rule: a disk that fills up costs no frame and no process; netchild's crashes
// are survived, and what could not be written down is counted once there is
// room again.
func TestDiskFillsUp(t *testing.T) {
	root := smallDisk(t, "128m")
	r := startUp(t, upSpec{root: root, args: []string{"--source", "testcard", "--healthy", "200ms"}})
	before := r.await("both stream", streaming)
	filler := filepath.Join(root, "filler")
	fill(t, filler)
	s := r.await("both get on", func(s snapshot) bool {
		return streaming(s) && session(s, "1").Frames > session(before, "1").Frames+10 && session(s, "2").Frames > session(before, "2").Frames+10
	})
	for _, x := range s.Sessions {
		if x.Gaps != 0 {
			t.Errorf("login %s had a gap", x.ID)
		}
	}
	crash := func(life uint64) {
		t.Helper()
		before := r.await("netchild is up", func(s snapshot) bool {
			return streaming(s) && job(s, string(netchildTarget)).UptimeS > 0.5
		})
		r.poke("netchild", "--crash")
		r.await("both stream to the next life", func(s snapshot) bool {
			return streaming(s) && job(s, string(netchildTarget)).Life == life && session(s, "1").Frames > session(before, "1").Frames && session(s, "2").Frames > session(before, "2").Frames
		})
	}
	crash(2)
	fill(t, filler)
	r.poke("guiagent/1", "--crash")
	r.await("the new agent streams", func(s snapshot) bool { return streaming(s) && job(s, string(agentTarget("1"))).Life == 2 })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	crash(3)
	told := r.explain()
	for _, want := range []string{string(netchildTarget) + " life 1", string(netchildTarget) + " life 2", string(agentTarget("1")) + " life 1"} {
		if !strings.Contains(told, want) {
			t.Errorf("%s is not explained:\n%s", want, told)
		}
	}
	if !strings.Contains(told, "dropped") {
		t.Errorf("that evidence was lost is not told:\n%s", told)
	}
	for _, j := range s.Jobs {
		if j.Label == string(supervisorTarget) && j.Life != 1 {
			t.Errorf("the supervisor is in life %d", j.Life)
		}
	}
	r.stop()
}

// fill takes all room that is left, to the last byte.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 1 << 20; n > 0; {
		if _, err := f.Write(make([]byte, n)); errors.Is(err, syscall.ENOSPC) {
			n /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// glimpse asks the running up from this process, which is quicker.
func (r *running) glimpse() snapshot {
	resp, err := ask(r.root, request{Op: "snapshot"})
	if err != nil {
		return snapshot{}
	}
	return resp.Snapshot
}

// nextPID waits for a new process of a job, ready to be hit in its first
// moments.
func (r *running) nextPID(target string, old int) int {
	r.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if pid := job(r.glimpse(), target).PID; pid != 0 && pid != old {
			return pid
		}
	}
	r.t.Fatalf("no new process of %s:\n%s", target, r.errs)
	return 0
}

// hits is how often a process is killed in its first moments.
func hits() int {
	if testing.Short() {
		return 8
	}
	return 30
}

// soonAfter waits for one of the first moments of a process. Now and then it
// lets one live, before the engine's own brake for fast lives is felt.
func soonAfter(random *rand.Rand, hit int) {
	d := time.Duration(random.IntN(int(120 * time.Millisecond)))
	if hit%(jobs.FastDeaths-2) == 0 {
		d += 2 * jobs.FastLife
	}
	time.Sleep(d)
}

// newKiller answers a source of moments; its seed is printed.
func newKiller(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Rule: netchild may be killed while agents register their surfaces, at any
// moment: they register again with the next one and hold no more than before.
func TestNetchildKilledWhileAgentsRegister(t *testing.T) {
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--healthy", "1ms"}})
	look := r.settled(t)
	random := newKiller(t)
	s := r.await("both stream", streaming)
	held := map[string]int{}
	for _, id := range []string{"1", "2"} {
		held[id] = countFDs(job(s, string(agentTarget(id))).PID)
	}
	pid := look.netchild.PID
	for hit := range hits() {
		syscall.Kill(pid, syscall.SIGKILL)
		pid = r.nextPID(string(netchildTarget), pid)
		soonAfter(random, hit)
	}
	before := r.await("netchild lives", func(s snapshot) bool { return job(s, string(netchildTarget)).PID != 0 })
	s = r.await("both stream again and hold what they held", func(s snapshot) bool {
		for _, id := range []string{"1", "2"} {
			pid := job(s, string(agentTarget(id))).PID
			if session(s, id).Frames <= session(before, id).Frames || countFDs(pid) > held[id] || countSurfaces(pid) != 3 {
				return false
			}
		}
		n := job(s, string(netchildTarget)).PID
		return streaming(s) && countSurfaces(n) == 6 && countFDs(n) <= look.fds
	})
	for _, label := range []string{string(supervisorTarget), string(agentTarget("1")), string(agentTarget("2"))} {
		if life := job(s, label).Life; life != 1 {
			t.Errorf("%s is in life %d", label, life)
		}
	}
	r.stop()
}

// Rule: an agent may be killed while netchild takes its surfaces, at any
// moment: netchild lets go of them, and the other login misses no frame.
func TestAgentKilledWhileItRegisters(t *testing.T) {
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	look := r.settled(t)
	random := newKiller(t)
	before := r.await("both stream", streaming)
	pid := job(before, string(agentTarget("1"))).PID
	for hit := range hits() {
		syscall.Kill(pid, syscall.SIGKILL)
		pid = r.nextPID(string(agentTarget("1")), pid)
		soonAfter(random, hit)
	}
	s := r.await("both stream again", func(s snapshot) bool {
		return streaming(s) && session(s, "1").Frames > session(before, "1").Frames
	})
	look.life[string(agentTarget("1"))] = job(s, string(agentTarget("1"))).Life
	look.unmoved(t, before, "2")
	r.stop()
}
