package xpcpeer_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"portward/internal/xpcpeer"
	"portward/internal/xpcpeer/xpcpeertest"
)

// Rule: directories longer than a socket address work the same.
func TestUnixLongDirectory(t *testing.T) {
	xpcpeertest.Run(t, func(t *testing.T) xpcpeer.Transport {
		dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return xpcpeer.Unix(dir, nil)
	})
}

// Rule: a socket has the mode asked for; a served name is not taken away, a
// dead one is replaced, and what is no socket stays.
func TestBindUnix(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	f, err := xpcpeer.BindUnix(dir, service, 0o620)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, service))
	if err != nil || info.Mode() != os.ModeSocket|0o620 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if _, err := xpcpeer.BindUnix(dir, service, 0o600); !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("a served name: %v", err)
	}
	f.Close()
	again, err := xpcpeer.BindUnix(dir, service, 0o600)
	if err != nil {
		t.Fatalf("a dead name: %v", err)
	}
	again.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := xpcpeer.BindUnix(dir, "file", 0o600); !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("a file's name: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
}

// Rule: a name is one path element, visible and short.
func TestBindUnixNames(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".hidden", "a\x00b", strings.Repeat("x", 65)} {
		if f, err := xpcpeer.BindUnix(dir, name, 0o600); err == nil {
			f.Close()
			t.Errorf("bound %q", name)
		}
		c := xpcpeer.Dial(xpcpeer.Unix(dir, nil), name, xpcpeer.Config{Policy: yes})
		if err := c.Activate(patient()); !errors.Is(err, xpcpeer.ErrInvalid) {
			t.Errorf("dialled %q: %v", name, err)
		}
		end(t, c)
	}
	if _, err := xpcpeer.BindUnix(filepath.Join(dir, "none"), service, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no directory: %v", err)
	}
}

// Rule: anonymous listeners need only the private directory, and leave nothing in it.
func TestPrivateDirectory(t *testing.T) {
	leavesNoFile(t)
	private := t.TempDir()
	tr := xpcpeer.UnixWith(xpcpeer.UnixOptions{Dir: "/nowhere", Private: private})
	l, err := xpcpeer.Anonymous(tr, answering())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if left, err := os.ReadDir(private); err != nil || len(left) > 0 {
		t.Fatalf("left %v, %v", left, err)
	}
	if _, err := xpcpeer.Anonymous(xpcpeer.Unix("/nowhere", nil), answering()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no directory: %v", err)
	}
}

// Rule: an inherited descriptor serves its name and stays its owner's.
func TestInherited(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	held := bind(t, dir)
	tr := xpcpeer.Unix(dir, map[string]*os.File{service: held})
	for range 2 {
		l, err := xpcpeer.Listen(tr, service, answering())
		if err != nil {
			t.Fatal(err)
		}
		c := xpcpeer.Dial(tr, service, xpcpeer.Config{Policy: yes})
		if pid := serverOf(t, c); pid != os.Getpid() {
			t.Fatalf("served by %d", pid)
		}
		end(t, c)
		l.Close()
		if _, err := os.Stat(filepath.Join(dir, service)); err != nil {
			t.Fatal(err)
		}
	}
	bad := xpcpeer.Unix(dir, map[string]*os.File{service: os.Stdin})
	if l, err := xpcpeer.Listen(bad, service, answering()); err == nil {
		l.Close()
		t.Fatal("listens on standard input")
	}
}

// Rule: a connection that finds the backlog full waits its turn, and Close ends
// the wait.
func TestFullBacklog(t *testing.T) {
	leavesNoFile(t)
	dir := t.TempDir()
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.Bind(s, &unix.SockaddrUnix{Name: filepath.Join(dir, service)})
	}
	if err == nil {
		err = unix.Listen(s, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	held := os.NewFile(uintptr(s), "full")
	defer held.Close()
	var waiting [4]*xpcpeer.Conn
	for i := range waiting {
		waiting[i] = xpcpeer.Dial(xpcpeer.Unix(dir, nil), service, xpcpeer.Config{Policy: yes})
		defer end(t, waiting[i])
		if err := waiting[i].Send(patient(), nil); err != nil {
			t.Fatal(err)
		}
	}
	end(t, waiting[0])
	l, err := xpcpeer.Listen(xpcpeer.Unix("", map[string]*os.File{service: held}), service, answering())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range waiting[1:] {
		if pid := serverOf(t, c); pid != os.Getpid() {
			t.Fatalf("served by %d", pid)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	tr := xpcpeer.Unix(b.TempDir(), nil)
	l, err := xpcpeer.Listen(tr, service, answering())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c := xpcpeer.Dial(tr, service, xpcpeer.Config{Policy: yes})
	defer c.Close()
	ctx := patient()
	for b.Loop() {
		if _, err := c.Call(ctx, nil); err != nil {
			b.Fatal(err)
		}
	}
}
