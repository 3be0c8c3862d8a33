package main

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"portward/internal/program"
	"portward/internal/viewer"
)

// Rule: of what an earlier netchild left, its identity is kept and nothing
// else, and nothing that leads elsewhere is read, kept or given away.
func TestRenewState(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(path string) error{
		"a plain file":         func(p string) error { return os.WriteFile(p, []byte("token"), 0o600) },
		"a link":               func(p string) error { return os.Symlink(outside, p) },
		"another name of it":   func(p string) error { return os.Link(outside, p) },
		"a pipe":               func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"a directory":          func(p string) error { return os.Mkdir(p, 0o700) },
		"a file without bound": func(p string) error { return os.WriteFile(p, make([]byte, maxKept+1), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := program.StateDir(root)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := viewer.TokenPath(dir)
			if err := plant(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(dir, "other")); err != nil {
				t.Fatal(err)
			}
			uid := uint32(os.Geteuid())
			if uid == 0 {
				uid = ordinaryUID
			}
			if err := renewState(root, uid); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if want := name == "a plain file"; (err == nil) != want || want && string(b) != "token" {
				t.Errorf("kept %q, %v", b, err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) > 1 {
				t.Errorf("kept %v", entries)
			}
			if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 || ownerOf(fi) != uid {
				t.Errorf("%v: %v, %v", dir, fi, err)
			}
			if fi, err := os.Stat(outside); err != nil || ownerOf(fi) != uint32(os.Geteuid()) || fi.Mode().Perm() != 0o600 {
				t.Errorf("what lies outside was changed: %v, %v", fi, err)
			}
		})
	}
}

// Rule: root does not run what others could put in its place.
func TestRootBelowOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	for p := dir; p != os.TempDir(); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := mayOwn(root); err != nil {
		t.Errorf("below directories of root's: %v", err)
	}
	for name, spoil := range map[string]func() error{
		"another's":   func() error { return os.Chown(dir, ordinaryUID, 0) },
		"for anybody": func() error { return os.Chmod(dir, 0o777) },
		"for nobody":  func() error { return os.Chmod(dir, 0o750) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if mayOwn(root) == nil {
			t.Errorf("a root below a directory that is %s was taken", name)
		}
		if err := os.Chown(dir, 0, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	if mayOwn(link) == nil {
		t.Error("a link was taken for a root")
	}
}

// Rule: a tree that is too deep to be removed does not make the root unusable.
func TestTooDeep(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "private")
	for range 200 {
		path = filepath.Join(path, "d")
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 100, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	l := &rootLock{dir: root}
	err := l.clean()
	_, left := os.Stat(filepath.Join(root, "private"))
	if rerr := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil || left == nil || rerr != nil {
		t.Fatalf("%v, still there: %v, %v", err, left == nil, rerr)
	}
	if err := l.clean(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(root); len(entries) != 0 {
		t.Errorf("left, although it can be removed now: %v", entries)
	}
}

// Rule: two ups do not give one uid to two people.
func TestReserve(t *testing.T) {
	var a, b people
	defer b.leave()
	if !a.reserve(ordinaryUID) || b.reserve(ordinaryUID) {
		t.Error("a uid was given twice, or not at all")
	}
	a.leave()
	if !b.reserve(ordinaryUID) {
		t.Error("a uid that was given back is not to be had")
	}
	if !busyUIDs()[os.Geteuid()] {
		t.Error("this process runs under a uid that nobody uses")
	}
}

// Rule: jobs inherit nothing that up's caller left open.
func TestInheritNothing(t *testing.T) {
	secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}, files: []*os.File{secret}})
	r.await("both stream", streaming)
	for _, pid := range processesOf(r.root) {
		fds, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); to == secret.Name() {
				t.Errorf("process %d has the caller's file", pid)
			}
		}
	}
	r.stop()
}
