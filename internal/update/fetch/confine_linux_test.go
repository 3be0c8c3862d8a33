package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"portward/internal/update/pipe"
)

// confined is a process that has given up what it could, and tries.
func confined(cfg Config, outside string) int {
	bad := 0
	told := func(what string, err error, want bool) {
		if (err == nil) != want {
			bad++
			fmt.Printf("%s: %v\n", what, err)
		}
	}
	parent := os.Getppid()
	if err := confine(cfg, cfg.Log); err != nil {
		fmt.Println(err)
		return 1
	}
	_, err := os.ReadFile(filepath.Join(outside, "secret"))
	told("reading outside", err, false)
	_, err = os.ReadDir(outside)
	told("listing outside", err, false)
	told("writing outside", os.WriteFile(filepath.Join(outside, "new"), nil, 0o600), false)
	told("truncating outside", os.Truncate(filepath.Join(outside, "secret"), 0), false)
	told("removing outside", os.Remove(filepath.Join(outside, "secret")), false)
	_, err = os.ReadFile("/etc/passwd")
	told("reading people", err, false)
	_, err = os.ReadFile(fmt.Sprintf("/proc/%d/environ", parent))
	told("reading another process", err, false)
	_, err = os.ReadFile("/etc/hosts")
	told("reading hosts", err, true)
	_, err = os.ReadFile(filepath.Join(cfg.Live, "old"))
	told("reading the bundle", err, true)
	told("writing into the bundle", os.WriteFile(filepath.Join(cfg.Live, "old"), nil, 0o600), false)
	inside := filepath.Join(cfg.Cache, "x")
	told("writing into the cache", os.WriteFile(inside, []byte("#!/bin/sh\n"), 0o700), true)
	told("a device in the cache", unix.Mkfifo(inside+"1", 0o600), false)
	told("a link in the cache", os.Symlink("/", inside+"2"), false)
	told("running from the cache", run(inside), false)
	told("running a program", run("/bin/true"), false)
	told("running the bundle", run(filepath.Join(cfg.Live, "run")), false)
	for _, dir := range []string{cfg.Cache, filepath.Dir(cfg.Live)} {
		told("free space", unix.Statfs(dir, &unix.Statfs_t{}), true)
	}
	var tcp net.ListenConfig
	tcp.SetMultipathTCP(false)
	l, err := tcp.Listen(context.Background(), "tcp", "127.0.0.1:0")
	told("listening", err, false)
	if err == nil {
		l.Close()
	}
	told("a signal to the parent", syscall.Kill(parent, 0), false)
	c, err := net.Dial("tcp", os.Getenv("PORTWARD_FETCH_DIAL"))
	told("connecting", err, true)
	if err == nil {
		c.Close()
	}
	v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	told("no new privileges", errors.Join(err, unless(v == 1)), true)
	told("no child", unless(errors.Is(run("/bin/true"), syscall.EPERM)), true)
	busy()
	for which, most := range map[int]uint64{unix.RLIMIT_NOFILE: 64, unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: maxSize, unix.RLIMIT_DATA: 1 << 45} {
		var r unix.Rlimit
		err := unix.Getrlimit(which, &r)
		told(fmt.Sprintf("limit %d", which), errors.Join(err, unless(r.Max <= most)), true)
	}
	return bad
}

// run starts a program, for which it opens nothing.
func run(path string) error {
	pid, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err == nil {
		syscall.Wait4(pid, nil, 0, nil)
	}
	return err
}

// busy keeps more threads in the kernel than a fetcher ever does: a pipe each
// way, and a disk that stands still. Without a thread for each Go ends the process.
// They are new ones, so threads can still be made.
func busy() {
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			unix.Nanosleep(&unix.Timespec{Nsec: 50_000_000}, nil)
			runtime.GC()
		})
	}
	all.Wait()
}

func unless(ok bool) error {
	if ok {
		return nil
	}
	return errors.New("it is not")
}

// Rule: a fetcher that was taken over reads, writes and runs nothing but what it
// has to, listens nowhere and signals nobody.
func TestConfined(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := Config{Cache: t.TempDir(), Live: t.TempDir()}
	if err := os.WriteFile(filepath.Join(cfg.Live, "old"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Live, "run"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	write(t, outside, "secret", []byte("secret"))
	for _, as := range accounts() {
		for _, dir := range []string{cfg.Live, outside} {
			letIn(t, as, dir, false)
		}
		letIn(t, as, cfg.Cache, true)
		cmd := childOf(t, "confined", cfg, asUser(as), "PORTWARD_FETCH_OUTSIDE="+outside, "PORTWARD_FETCH_DIAL="+l.Addr().String())
		var log bytes.Buffer
		cmd.Stderr = &log
		out, err := cmd.Output()
		if strings.Contains(log.String(), "Landlock is of version") {
			t.Skip(log.String())
		}
		if err != nil || len(out) > 0 {
			t.Errorf("as %d: %v:\n%s%s", as, err, out, log.String())
		}
	}
}

// accounts are whom a fetcher may run as: whoever runs this and, as it is in
// production where that is root, somebody who may do nothing.
func accounts() []int {
	if os.Geteuid() == 0 {
		return []int{0, 65534}
	}
	return []int{os.Geteuid()}
}

func asUser(uid int) string { return fmt.Sprint("PORTWARD_FETCH_AS=", uid) }

// letIn lets a user reach dir, and gives it to him if it shall be his.
func letIn(t *testing.T, uid int, dir string, his bool) {
	t.Helper()
	if his {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
		if err = errors.Join(err, os.Chown(dir, uid, -1)); err != nil {
			t.Fatal(err)
		}
	}
	for ; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// Rule: a confined fetcher does all that it is for.
func TestConfinedWorks(t *testing.T) {
	n := startNginx(t, "")
	live := t.TempDir()
	old := noise(300_000, 1)
	content := append(bytes.Clone(old), "more"...)
	o := offerOn(t, n.put)
	patched := o.add(content, None, old)
	path := write(t, live, "old", old)
	o.have(old, path)
	blob := o.add(bytes.Repeat([]byte("zz"), 1<<20), Zstd)
	n.put(timestampName, []byte("{}"))
	cfg := Config{Repo: "https://" + n.addr(), CA: n.ca, Cache: t.TempDir(), Live: live}
	want := o.close()
	if err := errors.Join(os.Chmod(path, 0o644), os.Chmod(n.ca, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, as := range accounts() {
		letIn(t, as, filepath.Dir(n.ca), false)
		letIn(t, as, live, false)
		letIn(t, as, cfg.Cache, true)
		worksConfined(t, serving(t, cfg, asUser(as)), want, patched, blob)
	}
}

func worksConfined(t *testing.T, p *process, want pipe.Want, files ...pipe.File) {
	t.Helper()
	if got, err := p.Get(timestampName, 100, ""); err != nil || string(got) != "{}" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := p.Get(timestampName, 100, hashOf([]byte("{}"))); !errors.Is(err, pipe.ErrSame) {
		t.Error(err)
	}
	plan, err := p.Prepare(want)
	if err != nil || plan.Download > 10_000 {
		t.Fatalf("%+v, %v", plan, err)
	}
	for _, file := range files {
		var got bytes.Buffer
		if err := p.File(file, false, &got, nil); err != nil || hashOf(got.Bytes()) != file.SHA256 {
			t.Errorf("%v, %d bytes", err, got.Len())
		}
	}
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// Rule: on a full disk the cache gives all back and says so, and once there is
// room it works.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=700"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	s := newShelf(t)
	o := offerOn(t, s.put)
	small, large := o.add(noise(50_000, 1), None), o.add(noise(400_000, 2), None)
	f := fetcher(t, s.URL, in(dir))
	want := o.close()
	prepare(t, f, want)
	wantErr(t, f.File(large, false, io.Discard, nil), pipe.ErrNoSpace)
	wantNames(t, dir)
	take(t, f, small)
	filler := write(t, dir, "filler", make([]byte, 250_000))
	wantErr(t, f.File(small, false, io.Discard, nil), pipe.ErrNoSpace)
	if _, err := f.Prepare(want); err != nil && !errors.Is(err, pipe.ErrNoSpace) {
		t.Error(err)
	}
	os.Remove(filler)
	prepare(t, f, want)
	take(t, f, small)
}
