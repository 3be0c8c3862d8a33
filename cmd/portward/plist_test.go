//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"portward/launchd"
)

// without answers the product's plists, one of them without a boolean key.
func without(t *testing.T, file, key string) fs.FS {
	t.Helper()
	changed := fstest.MapFS{}
	err := fs.WalkDir(launchd.Files(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(launchd.Files(), path)
		changed[path] = &fstest.MapFile{Data: b, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	entry := "\t<key>" + key + "</key>\n\t<true/>\n"
	was := string(changed[file].Data)
	if strings.Count(was, entry) != 1 {
		t.Fatalf("%s has no %q", file, entry)
	}
	changed[file].Data = []byte(strings.Replace(was, entry, "", 1))
	return changed
}

// startHere runs up in this process, with plists of the test's own. It leaves
// no goroutine, descriptor, process or socket.
func startHere(t *testing.T, plists fs.FS, o upOptions) *running {
	t.Helper()
	dir := binDir(t)
	o.root, o.listen = newRoot(t, os.Geteuid()), "127.0.0.1:0"
	goroutines, files := runtime.NumGoroutine(), countOwnFiles()
	lock, err := takeRoot(o.root)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, uid: os.Geteuid(), root: o.root, errs: &syncBuffer{}, done: make(chan struct{})}
	w := &world{o: o, show: &screen{out: r.errs}, plists: plists, programs: map[string]string{}}
	for _, name := range programs {
		w.programs[name] = filepath.Join(dir, name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var rep report
	var runErr error
	go func() {
		defer close(r.done)
		rep, runErr = w.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
		if err := lock.leave(); err != nil || runErr != nil {
			t.Errorf("up ended with %v, %v", runErr, err)
		}
		if !rep.streamed() {
			t.Errorf("not every login streamed: %+v", rep.Sessions)
		}
		if left := processesOf(o.root); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
		for end := time.Now().Add(patience); runtime.NumGoroutine() > goroutines || countOwnFiles() > files; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				b := make([]byte, 1<<20)
				t.Errorf("%d goroutines and %d descriptors, before %d and %d:\n%s", runtime.NumGoroutine(), countOwnFiles(), goroutines, files, b[:runtime.Stack(b, true)])
				break
			}
		}
		if t.Failed() {
			t.Logf("up said:\n%s", r.errs)
		}
	})
	return r
}

func countOwnFiles() int {
	fds, _ := os.ReadDir("/proc/self/fd")
	return len(fds)
}

// Rule: an agent whose plist has no KeepAlive stays down when it is killed,
// whatever happens around it, until Kickstart starts it: in its own session,
// as its own user, and it streams.
func TestAgentWithoutKeepAlive(t *testing.T) {
	plists := without(t, "LaunchAgents/"+launchd.GUIAgent+".plist", "KeepAlive")
	r := startHere(t, plists, upOptions{sessions: 2, source: "testcard", healthy: 200 * time.Millisecond})
	before := r.aged(0)
	label := string(agentTarget("1"))
	was := job(before, label)
	fi, err := os.Stat(fmt.Sprintf("/proc/%d", was.PID))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(was.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	down := r.until("the agent is down", func(s snapshot) bool { return job(s, label).PID == 0 })
	r.poke("netchild", "--crash") // the other agent's redial is no demand for this one
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		s, err := r.glance()
		if err != nil {
			t.Fatal(err)
		}
		if j := job(s, label); j.PID != 0 || j.Life != was.Life || j.State != "waiting" {
			t.Fatalf("nobody asked for the agent, and it is %+v", j)
		}
	}
	r.until("the other login streams from the next netchild", func(s snapshot) bool {
		was, is := session(down, "2"), session(s, "2")
		return is.Gaps > was.Gaps && is.Frames > was.Frames && !is.Broken
	})

	r.poke("guiagent/1", "--start")
	s := r.until("the agent's login streams again", func(s snapshot) bool { return mended(s, down) })
	is := job(s, label)
	if is.Life != was.Life+1 {
		t.Errorf("the agent is life %d, want %d", is.Life, was.Life+1)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", is.PID))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains("\x00"+string(env), "\x00PORTWARD_SESSION=1\x00") {
		t.Errorf("not in its session: %q", env)
	}
	now, err := os.Stat(fmt.Sprintf("/proc/%d", is.PID))
	if err != nil {
		t.Fatal(err)
	}
	if ownerOf(now) != ownerOf(fi) {
		t.Errorf("the agent ran as uid %d and runs as uid %d", ownerOf(fi), ownerOf(now))
	}
	if other := job(s, string(agentTarget("2"))); other.PID != job(before, string(agentTarget("2"))).PID {
		t.Error("the other login's agent was started anew")
	}
	if e := r.endings(label)[was.Life]; !strings.Contains(e.text, "signal 9") {
		t.Errorf("explain says of life %d: %+v", was.Life, e)
	}
}
