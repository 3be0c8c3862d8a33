package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portward/internal/jobs"
	"portward/internal/jobs/jobstest"
)

func plistIn(t testing.TB, dir, label, role string, more map[string]any) string {
	t.Helper()
	path, err := jobstest.Plist(dir, label, role, more)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs Linux: /proc")
	}
	return len(list)
}

// TestClose guards: sessions first, then the system, then StopLast one by one;
// afterwards no process, socket, goroutine or descriptor is left, and the
// watch has ended after the last event.
func TestClose(t *testing.T) {
	warm := open(t, options(t)) // what the runtime opens once
	shut(t, warm)
	before, ignore := descriptors(t), goleak.IgnoreCurrent()
	o := options(t)
	o.StopLast = []string{"middle", "last"}
	e := open(t, o)
	ctx := context.Background()
	events, err := e.Watch(ctx)
	must(t, err)
	dir := shortDir(t)
	service := func(name string) map[string]any {
		return map[string]any{"RunAtLoad": true, "MachServices": map[string]bool{name: true}}
	}
	must(t, e.Bootstrap(ctx, jobs.System, plistIn(t, dir, "last", "obey", service("a"))))
	must(t, e.Bootstrap(ctx, jobs.System, plistIn(t, dir, "middle", "obey", service("b"))))
	must(t, e.Bootstrap(ctx, jobs.System, plistIn(t, dir, "first", "obey", map[string]any{"KeepAlive": map[string]any{"PathState": map[string]bool{dir: true}}})))
	must(t, e.Bootstrap(ctx, jobs.System, plistIn(t, dir, "never", "obey", map[string]any{"MachServices": map[string]bool{"c": true}})))
	must(t, e.Bootstrap(ctx, jobs.GUI, plistIn(t, dir, "agent", "obey", map[string]any{"KeepAlive": true})))
	must(t, e.Login(jobs.Session{ID: "1", UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}))
	for _, label := range []string{"last", "middle", "first", "agent"} {
		poll(t, label, func() bool { return len(jobstest.Notes(dir, label)) > 1 })
	}
	shut(t, e)
	var order []string
	for ev := range events {
		if ev.Kind == jobs.Exited {
			order = append(order, ev.Target.Label())
			if !ev.Exit.Success() {
				t.Errorf("%s did not end by itself: %v", ev.Target, ev.Exit)
			}
		}
	}
	if want := []string{"agent", "first", "middle", "last"}; !slices.Equal(order, want) {
		t.Errorf("stopped in the order %v, want %v", order, want)
	}
	if left, _ := os.ReadDir(o.RunDir); len(left) > 0 {
		t.Errorf("sockets are left: %v", left)
	}
	goleak.VerifyNone(t, ignore)
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if _, err := e.List(ctx); !errors.Is(err, jobs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestCloseKills guards: when the context of Close ends, nothing is waited for.
func TestCloseKills(t *testing.T) {
	e := open(t, options(t))
	dir := shortDir(t)
	must(t, e.Bootstrap(context.Background(), jobs.System, plistIn(t, dir, "deaf", "stubborn", map[string]any{"RunAtLoad": true, "ExitTimeOut": 0})))
	poll(t, "deaf", func() bool { return len(jobstest.Notes(dir, "deaf")) > 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	must(t, e.Close(ctx))
	if pid := jobstest.Notes(dir, "deaf")[0].PID; !jobstest.Gone(pid) {
		t.Error("the process is there")
	}
}

// TestNoLeakOverLives guards: a life costs nothing that stays.
func TestNoLeakOverLives(t *testing.T) {
	o := options(t)
	var made []*os.File
	o.Descriptors = func(_ jobs.Target, life uint64) ([]jobs.NamedFile, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		made = append(made, r, w)
		if life%3 == 0 {
			return []jobs.NamedFile{{Name: "r", File: r}, {Name: "w", File: w}}, errors.New("not this time")
		}
		return []jobs.NamedFile{{Name: "r", File: r}, {Name: "w", File: w}}, nil
	}
	e := open(t, o)
	dir, ctx := shortDir(t), context.Background()
	must(t, e.Bootstrap(ctx, jobs.System, plistIn(t, dir, "many", "sleep", nil)))
	kick := func() { e.Kickstart(ctx, "system/many", true) }
	kick()
	before := descriptors(t)
	for range 12 { // lives 2 to 13: the last runs as the first did
		kick()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	for _, f := range made {
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Fatalf("an extra descriptor was not closed: %v", err)
		}
	}
	poll(t, "note", func() bool { return len(jobstest.Notes(dir, "many")) > 0 })
	n := jobstest.Notes(dir, "many")
	if !slices.Contains(n[0].Names, "r") || !slices.Contains(n[0].Names, "w") {
		t.Errorf("extra descriptors: %+v", n)
	}
}

// TestStartFails guards: whatever keeps a job from starting is a StartFailed
// that names it.
func TestStartFails(t *testing.T) {
	dir := shortDir(t)
	fifo := filepath.Join(dir, "fifo")
	must(t, syscall.Mkfifo(fifo, 0o600))
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(filepath.Join(dir, "elsewhere"), link))
	plain := filepath.Join(dir, "plain")
	must(t, os.WriteFile(plain, nil, 0o644))
	for name, c := range map[string]struct {
		key, value, says string
	}{
		"missing program":   {"Program", filepath.Join(dir, "none"), "none"},
		"not executable":    {"Program", plain, "permission denied"},
		"missing directory": {"WorkingDirectory", filepath.Join(dir, "nodir"), "nodir"},
		"missing log dir":   {"StandardErrorPath", filepath.Join(dir, "nolog", "x"), "StandardErrorPath"},
		"log is a pipe":     {"StandardOutPath", fifo, "StandardOutPath"},
		"log is a link":     {"StandardOutPath", link, "StandardOutPath"},
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t, options(t))
			must(t, e.Bootstrap(context.Background(), jobs.System, plistIn(t, dir, "bad", "sleep", map[string]any{c.key: c.value})))
			err := e.Kickstart(context.Background(), "system/bad", false)
			if !errors.Is(err, jobs.ErrStart) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v does not say %q", err, c.says)
			}
			if s, err := e.State(context.Background(), "system/bad"); err != nil || s.Life != 1 || s.Status != jobs.Waiting {
				t.Fatalf("afterwards %+v, %v", s, err)
			}
		})
	}
}

// TestPrefixAndUmask guards: the plists' prefix is mapped, and nothing that only looks
// like it; Umask holds for the job alone.
func TestPrefixAndUmask(t *testing.T) {
	o := options(t)
	root := shortDir(t)
	o.Prefix, o.Root = "/Product", root
	e := open(t, o)
	dir := shortDir(t)
	env := map[string]string{"JOBSTEST_ROLE": "sleep", "JOBSTEST_NOTES": "/Product/mapped.notes", "JOBSTEST_ARG": "/Productive"}
	must(t, e.Bootstrap(context.Background(), jobs.System, plistIn(t, dir, "mapped", "sleep", map[string]any{
		"RunAtLoad": true, "WorkingDirectory": "/Product", "EnvironmentVariables": env,
		"StandardErrorPath": "/Product/log", "Umask": "027"})))
	poll(t, "note", func() bool { return len(jobstest.Notes(root, "mapped")) > 0 })
	n := jobstest.Notes(root, "mapped")[0]
	if n.Dir != root || n.Arg != "/Productive" || n.Umask != 0o027 {
		t.Errorf("child says %+v", n)
	}
	if info, err := os.Stat(filepath.Join(root, "log")); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("log: %v, %v", info, err)
	}
	if mine := syscall.Umask(0o022); mine == 0o027 {
		t.Error("the umask became ours")
	} else {
		syscall.Umask(mine)
	}
}

// TestErrorPath guards: where a plist names no StandardErrorPath, the engine's
// owner does.
func TestErrorPath(t *testing.T) {
	o := options(t)
	dir, logs := shortDir(t), shortDir(t)
	o.ErrorPath = func(tg jobs.Target) string { return filepath.Join(logs, tg.Label()) }
	e := open(t, o)
	silent := filepath.Join(dir, "silent.plist")
	must(t, os.WriteFile(silent, []byte(`<?xml version="1.0"?><plist version="1.0"><dict><key>Label</key><string>silent</string>
<key>ProgramArguments</key><array><string>/bin/sleep</string><string>600</string></array><key>RunAtLoad</key><true/></dict></plist>`), 0o644))
	must(t, e.Bootstrap(context.Background(), jobs.System, silent))
	must(t, e.Bootstrap(context.Background(), jobs.System, plistIn(t, dir, "named", "sleep", map[string]any{
		"RunAtLoad": true, "StandardErrorPath": filepath.Join(dir, "elsewhere")})))
	for _, path := range []string{filepath.Join(logs, "silent"), filepath.Join(dir, "elsewhere")} {
		poll(t, path, func() bool { _, err := os.Stat(path); return err == nil })
	}
	if _, err := os.Stat(filepath.Join(logs, "named")); err == nil {
		t.Error("the plist's own path was passed over")
	}
}

// TestAgentSockets guards: an agent cannot have sockets, since all sessions
// would share their names.
func TestAgentSockets(t *testing.T) {
	e := open(t, options(t))
	dir := shortDir(t)
	path := plistIn(t, dir, "agent", "sleep", map[string]any{"MachServices": map[string]bool{"a": true}})
	if err := e.Bootstrap(context.Background(), jobs.GUI, path); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
}

// TestOverflow guards: a reader that is too slow is told, and delays nobody.
func TestOverflow(t *testing.T) {
	e := open(t, options(t))
	slow, err := e.Watch(context.Background())
	must(t, err)
	for i := range jobs.WatchQueue/2 + 1 {
		must(t, e.Login(jobs.Session{ID: fmt.Sprint(i)}))
		must(t, e.Logout(context.Background(), fmt.Sprint(i)))
	}
	var last jobs.Event
	n := 0
	for ev := range slow {
		last, n = ev, n+1
	}
	if last.Kind != jobs.Overflow || n != jobs.WatchQueue+1 {
		t.Fatalf("%d events, last %+v", n, last)
	}
}

// TestNotAListener guards: what cannot bring demand is refused when it is
// loaded, and the next attempt finds nothing in its way.
func TestNotAListener(t *testing.T) {
	o := options(t)
	real, n := o.BindService, 0
	o.BindService = func(name string) (*os.File, error) {
		if n++; n == 1 {
			return os.Open(os.DevNull)
		}
		return real(name)
	}
	e := open(t, o)
	path := plistIn(t, shortDir(t), "odd", "serve", map[string]any{"MachServices": map[string]bool{"odd": true}})
	if err := e.Bootstrap(context.Background(), jobs.System, path); err == nil || !strings.Contains(err.Error(), "MachServices.odd") {
		t.Fatal(err)
	}
	must(t, e.Bootstrap(context.Background(), jobs.System, path))
	c, err := net.Dial("unix", filepath.Join(o.RunDir, "odd"))
	must(t, err)
	c.Close()
}

// TestAccounts guards: as root a job of a session has the session's ids, one of
// the system its UserName's, and neither any supplementary group.
func TestAccounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	o := options(t)
	o.Users = func(name string) (uint32, uint32, bool) {
		id, ok := map[string]uint32{"_service": 54321, "_group": 54399}[name]
		return id, id, ok
	}
	e := open(t, o)
	ctx, dir := context.Background(), shortDir(t)
	must(t, os.Chmod(dir, 0o777))
	exe := openToAll(t)
	load := func(d jobs.Domain, label string, more map[string]any) {
		more["Program"], more["RunAtLoad"] = exe, true
		more["StandardErrorPath"] = filepath.Join(dir, label+".log")
		must(t, e.Bootstrap(ctx, d, plistIn(t, dir, label, "sleep", more)))
	}
	must(t, e.Login(jobs.Session{ID: "1", UID: 54001, GID: 54002}))
	load(jobs.System, "service", map[string]any{"UserName": "_service"})
	load(jobs.System, "grouped", map[string]any{"UserName": "_service", "GroupName": "_group"})
	load(jobs.System, "plain", map[string]any{})
	load(jobs.GUI, "agent", map[string]any{"UserName": "_service"})
	for label, want := range map[string][2]int{
		"service": {54321, 54321}, "grouped": {54321, 54399}, "plain": {0, os.Getegid()}, "agent": {54001, 54002},
	} {
		poll(t, label, func() bool { return len(jobstest.Notes(dir, label)) > 0 })
		n := jobstest.Notes(dir, label)[0]
		if n.UID != want[0] || n.GID != want[1] {
			t.Errorf("%s runs as %d:%d, want %v", label, n.UID, n.GID, want)
		}
		if label != "plain" && slices.ContainsFunc(n.Groups, func(g int) bool { return g != n.GID }) {
			t.Errorf("%s has the groups %v", label, n.Groups)
		}
		info, err := os.Stat(filepath.Join(dir, label+".log"))
		must(t, err)
		if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != want[0] {
			t.Errorf("the log of %s belongs to %d", label, uid)
		}
	}
	load(jobs.System, "nobody", map[string]any{"UserName": "_unknown"})
	if err := e.Kickstart(ctx, "system/nobody", false); !errors.Is(err, jobs.ErrStart) || !strings.Contains(err.Error(), "_unknown") {
		t.Errorf("unknown user: %v", err)
	}
}

// openToAll copies this program to where other accounts can execute it.
func openToAll(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	data, err := os.ReadFile(exe)
	must(t, err)
	dir := shortDir(t)
	must(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "child")
	must(t, os.WriteFile(path, data, 0o755))
	return path
}
