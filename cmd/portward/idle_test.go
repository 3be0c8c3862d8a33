//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"portward/internal/bundle"
	"portward/internal/program"
	"portward/internal/status"
)

// viewerHost answers the viewer's host:port.
func (r *running) viewerHost() string {
	r.t.Helper()
	s, err := r.glance()
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := url.Parse(s.Viewer)
	if err != nil {
		r.t.Fatal(err)
	}
	return u.Host
}

// view opens the page's connection with the token and takes what comes until
// the test ends or leave is called.
func (r *running) view() (leave func()) {
	r.t.Helper()
	var token []byte
	r.until("the viewer has a token", func(snapshot) bool {
		token, _ = os.ReadFile(filepath.Join(r.root, "state", "netchild", "viewer.token"))
		return len(token) > 0
	})
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, "wss://"+r.viewerHost()+"/ws", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: tr},
		HTTPHeader: http.Header{"Origin": {"https://" + r.viewerHost()}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	conn.SetReadLimit(1 << 24)
	hello := fmt.Sprintf(`{"type":"hello","token":%q}`, strings.TrimSpace(string(token)))
	if err := conn.Write(ctx, websocket.MessageText, []byte(hello)); err != nil {
		r.t.Fatal(err)
	}
	for {
		kind, _, err := conn.Read(ctx)
		if err != nil {
			r.t.Fatal(err)
		}
		if kind == websocket.MessageBinary {
			break // the viewer sees
		}
	}
	go func() {
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
		}
	}()
	leave = func() { conn.CloseNow() }
	r.t.Cleanup(leave)
	return leave
}

// queued answers how many bytes wait on the sockets of a process, SIOCINQ of
// unix(7), which takes descriptors of it that pidfd_getfd(2) lends.
func queued(t *testing.T, pid int) int {
	t.Helper()
	p, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Skipf("needs pidfd_open: %v", err)
	}
	defer unix.Close(p)
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, e := range fds {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		if !strings.HasPrefix(to, "socket:") {
			continue
		}
		var n int
		fmt.Sscan(e.Name(), &n)
		fd, err := unix.PidfdGetfd(p, n, 0)
		if err != nil {
			t.Skipf("needs pidfd_getfd: %v", err)
		}
		if bytes, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err == nil { // a listening one has none
			sum += bytes
		}
		unix.Close(fd)
	}
	return sum
}

// netchildLog answers what netchild wrote.
func (r *running) netchildLog() string {
	b, _ := os.ReadFile(filepath.Join(r.root, "log", "netchild.log"))
	return string(b)
}

// Rule: an agent that is stopped delays nobody. netchild leaves one call with
// it and no more, while a viewer has the other login's frames; once it runs
// again it streams. So it is when netchild dies meanwhile.
func TestStoppedAgent(t *testing.T) {
	t.Parallel()
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--healthy", "200ms"}})
	first := r.aged(0)
	pid := job(first, string(agentTarget("1"))).PID
	r.view()

	// The kernel ends an agent that stands still for long, so this must be done
	// before.
	r.poke("guiagent/1", "--stop")
	r.until("the agent is stopped", func(snapshot) bool { return stopped(pid) })
	r.until("netchild's call was not answered", func(snapshot) bool {
		return strings.Contains(r.netchildLog(), "session 1 answers its calls: false")
	})
	one := queued(t, pid)
	if one == 0 {
		t.Error("no call waits for the stopped agent")
	}
	// It is asked every two seconds; meanwhile the viewer asks for whole frames.
	before, end := r.aged(0), time.Now().Add(4*time.Second)
	for time.Now().Before(end) {
		s := r.until("the second login has more frames", func(s snapshot) bool {
			return session(s, "2").Frames > session(before, "2").Frames+10
		})
		if s2 := session(s, "2"); s2.Gaps != 0 || s2.Broken {
			t.Fatalf("the second login has a gap: %+v", s2)
		}
		before = s
	}
	if now := queued(t, pid); now != one {
		t.Errorf("%d bytes wait for the stopped agent, and %d when its first call was not answered", now, one)
	}
	syscall.Kill(pid, syscall.SIGCONT)
	after := r.until("both stream again", func(s snapshot) bool { return grown(s, before) })
	if now := job(after, string(agentTarget("1"))); now.PID != pid {
		t.Errorf("the agent was pid %d, and is pid %d: it was stopped too long for this test", pid, now.PID)
	}
	if netchildLife(after) != 1 {
		t.Errorf("netchild is life %d", netchildLife(after))
	}
	r.until("netchild has its answer", func(snapshot) bool {
		return strings.Contains(r.netchildLog(), "session 1 answers its calls: true")
	})

	r.poke("guiagent/1", "--stop")
	r.until("the agent is stopped again", func(snapshot) bool { return stopped(pid) })
	r.poke("netchild", "--crash")
	r.until("the second login streams from the next life", func(s snapshot) bool {
		was, is := session(after, "2"), session(s, "2")
		return netchildLife(s) > 1 && is.Gaps > was.Gaps && is.Frames > was.Frames && !is.Broken
	})
	syscall.Kill(pid, syscall.SIGCONT)
	r.until("both stream", func(s snapshot) bool { return mended(s, after) })
	r.stop()
}

// askAs runs an agent's program as a tool, under a uid.
func (r *running) askAs(uid int, exe, session string) (stdout, stderr string, code int) {
	r.t.Helper()
	cmd := exec.Command(exe, "--ask", session)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, "/"
	cmd.Env = []string{"PORTWARD_ROOT=" + r.root}
	credential(cmd, uid)
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		r.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Rule: a third process reaches an agent by the endpoint that netchild relays,
// if the agent lets it; a program that is not the bundle's does not, nor, as
// root, one of another login.
func TestRelayedEndpoint(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, uid int) {
		r := startUp(t, upSpec{uid: uid, args: []string{"--source", "testcard"}})
		s := r.await("both stream", streaming)
		exe := bundle.Layout(program.BundleDir(r.root)).Program("guiagent")
		owners := map[string]int{}
		for _, id := range []string{"1", "2"} {
			pid := job(s, string(agentTarget(id))).PID
			fi, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
			if err != nil {
				t.Fatal(err)
			}
			owners[id] = int(ownerOf(fi))
			out, errs, code := r.askAs(owners[id], exe, id)
			if want := fmt.Sprintf("session %s: pid %d, build ", id, pid); code != 0 || !strings.HasPrefix(out, want) {
				t.Errorf("exit %d, %q, want %q: %s", code, out, want, errs)
			}
		}
		if _, errs, code := r.askAs(owners["1"], exe, "3"); code != program.ExitAgain || !strings.Contains(errs, `session "3"`) {
			t.Errorf("a login that is not there: exit %d: %s", code, errs)
		}

		b, err := os.ReadFile(exe)
		if err != nil {
			t.Fatal(err)
		}
		stranger := filepath.Join(filepath.Dir(r.root), "guiagent")
		if err := os.WriteFile(stranger, append(b, 0), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, errs, code := r.askAs(owners["1"], stranger, "1"); code != program.ExitAgain || out != "" {
			t.Errorf("a stranger: exit %d, %q: %s", code, out, errs)
		} else {
			t.Logf("a stranger is told: %s", lastLine(errs))
		}
		if owners["1"] != owners["2"] {
			if out, errs, code := r.askAs(owners["2"], exe, "1"); code != program.ExitAgain || out != "" {
				t.Errorf("another login: exit %d, %q: %s", code, out, errs)
			} else {
				t.Logf("another login is told: %s", lastLine(errs))
			}
		}
		after := r.await("both have more frames", func(now snapshot) bool { return grown(now, s) })
		if netchildLife(after) != 1 {
			t.Errorf("netchild is life %d", netchildLife(after))
		}
		r.stop()
	})
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// Rule: after so long without a viewer netchild leaves, which is no death; the
// agents wait and start nothing; a viewer's connection starts it, and every
// login streams again.
func TestIdle(t *testing.T) {
	t.Parallel()
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--idle", "1s"}})
	first := r.aged(0)
	leave := r.view()
	seen := r.aged(2 * time.Second) // a viewer keeps it
	if netchildLife(seen) != 1 {
		t.Errorf("netchild is life %d although somebody looks", netchildLife(seen))
	}
	leave()
	agents := []string{string(agentTarget("1")), string(agentTarget("2"))}
	for round := range uint64(rounds) {
		life := round + 1
		gone := r.until("netchild is gone", func(s snapshot) bool { return job(s, string(netchildTarget)).PID == 0 })
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			s, err := r.glance()
			if err != nil {
				t.Fatal(err)
			}
			if j := job(s, string(netchildTarget)); j.PID != 0 || j.Life != life || j.State != "waiting" {
				t.Fatalf("nobody needs netchild, and it is %+v", j)
			}
			for _, x := range gone.Sessions {
				if session(s, x.ID).Frames > x.Frames+3 { // what was under way
					t.Fatalf("login %s streams to nobody", x.ID)
				}
			}
		}
		if c := r.told().NetChild; c.State != status.Down || c.Verdict == nil || c.Verdict.Class != "idle" || c.Verdict.Life != life {
			t.Errorf("the status file says %+v, verdict %+v", c, c.Verdict)
		}
		if e := r.endings(string(netchildTarget))[life]; e.class != "idle" {
			t.Errorf("explain says that life %d ended by %q (%s)", life, e.class, e.text)
		}

		conn, err := tls.Dial("tcp", r.viewerHost(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		again := r.until("every login streams again", func(s snapshot) bool {
			return netchildLife(s) == life+1 && mended(s, gone)
		})
		conn.Close()
		for _, label := range agents {
			if was, is := job(first, label), job(again, label); is.PID != was.PID {
				t.Errorf("%s was pid %d and is pid %d", label, was.PID, is.PID)
			}
		}
		if j := job(again, string(netchildTarget)); j.Restarts != 0 {
			t.Errorf("%d restarts are counted for lives that left", j.Restarts)
		}
	}
	rep := r.stop()
	for _, j := range rep.Jobs {
		if j.Restarts != 0 {
			t.Errorf("the report counts %d restarts of %s", j.Restarts, j.Label)
		}
	}
}

// Rule: an idle netchild is started by any connection to the viewer's port, and
// the port answers all the time: nobody is refused.
func TestViewerWhileIdle(t *testing.T) {
	t.Parallel()
	r := startUp(t, upSpec{args: []string{"--source", "testcard", "--idle", "1s"}})
	r.aged(0)
	r.until("netchild is gone", func(s snapshot) bool { return job(s, string(netchildTarget)).PID == 0 })
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("https://" + r.viewerHost() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "<html") {
		t.Errorf("status %s, %.60q", resp.Status, body)
	}
	r.view()
	r.stop()
}
