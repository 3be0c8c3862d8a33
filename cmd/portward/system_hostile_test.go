package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/bundle"
	"portward/internal/bundle/sign"
	"portward/internal/durable"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/update/pipe"
	"portward/launchd"
)

// Rule: root reads what vouches for a bundle as a stranger's: it follows no link,
// waits for no pipe and takes no more than fits; and what does not vouch for the
// seal is found out before anything is installed.
func TestInstallReadsStrangersVouching(t *testing.T) {
	good := signedBundle(t, sign.AdHoc(), programs...)
	seal := must(bundle.ReadSeal(good))(t)
	mine := must(throwAway(seal))(t)
	others := must(throwAway(&bundle.Seal{Version: "1.0.0"}))(t)
	secret := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(secret, mine["targets.json"], 0o600))
	away := t.TempDir()
	check(t, os.WriteFile(filepath.Join(away, "root.json"), mine["root.json"], 0o644))
	write := func(name string, data []byte) func(string) error {
		return func(tuf string) error { return os.WriteFile(filepath.Join(tuf, name), data, 0o644) }
	}
	for name, c := range map[string]struct {
		do   []func(tuf string) error
		says string // empty: it is installed
	}{
		"whole":     {[]func(string) error{write("root.json", mine["root.json"]), write("targets.json", mine["targets.json"])}, ""},
		"root only": {[]func(string) error{write("root.json", mine["root.json"])}, ""},
		"a link to a secret": {[]func(string) error{write("root.json", mine["root.json"]), func(tuf string) error {
			return os.Symlink(secret, filepath.Join(tuf, "targets.json"))
		}}, "targets.json"},
		"a link to one of its own": {[]func(string) error{write("root.json", mine["root.json"]), write("x", mine["targets.json"]), func(tuf string) error {
			return os.Symlink("x", filepath.Join(tuf, "targets.json"))
		}}, "not a regular file"},
		"a pipe":                   {[]func(string) error{func(tuf string) error { return syscall.Mkfifo(filepath.Join(tuf, "root.json"), 0o644) }}, "not a regular file"},
		"a directory":              {[]func(string) error{func(tuf string) error { return os.Mkdir(filepath.Join(tuf, "root.json"), 0o755) }}, "not a regular file"},
		"without end":              {[]func(string) error{write("root.json", make([]byte, pipe.MaxGet+1))}, "more than"},
		"no root":                  {[]func(string) error{write("root.json", []byte("{}"))}, "does not vouch"},
		"targets of another's":     {[]func(string) error{write("root.json", mine["root.json"]), write("targets.json", others["targets.json"])}, "does not vouch"},
		"another seal's":           {[]func(string) error{write("root.json", others["root.json"]), write("targets.json", others["targets.json"])}, "does not vouch"},
		"the directory leads away": {[]func(string) error{os.Remove, func(tuf string) error { return os.Symlink(away, tuf) }}, "no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			m, dir := newMac(t), filepath.Join(t.TempDir(), bundle.Name)
			check(t, os.CopyFS(dir, os.DirFS(good)))
			tuf := bundle.Layout(dir).Tuf()
			check(t, os.MkdirAll(tuf, 0o755))
			for _, do := range c.do {
				check(t, do(tuf))
			}
			err := m.install(context.Background(), installing{bundle: dir, adHoc: true})
			if c.says == "" {
				check(t, err)
				return
			}
			wantRefusal(t, err, c.says)
			if left := must(os.ReadDir(m.root()))(t); len(left) > 0 || len(m.launchd.did) > 0 || m.people.made > 0 {
				t.Errorf("left %v, did %q", left, m.launchd.did)
			}
		})
	}
}

// Rule: what is in the bundle's place and is none, or a damaged one, is replaced,
// whatever it is, and nothing runs on out of it; another version's stays.
func TestInstallOverDamage(t *testing.T) {
	dir := signedBundle(t, sign.AdHoc(), programs...)
	o := installing{bundle: dir, adHoc: true}
	const net = "Portward.app/Contents/MacOS/netchild"
	for name, harm := range map[string]func(live string) error{
		"a program is gone":    func(live string) error { return os.Remove(live + "/" + net) },
		"a program is another": func(live string) error { return os.WriteFile(live+"/"+net, []byte("#!/bin/sh\n"), 0o755) },
		"no seal":              func(live string) error { return os.Remove(bundle.Layout(live).Seal()) },
		"nobody is trusted":    func(live string) error { return os.RemoveAll(bundle.Layout(live).Tuf()) },
		"a file":               func(live string) error { return errors.Join(os.RemoveAll(live), os.WriteFile(live, nil, 0o644)) },
		"a link":               func(live string) error { return errors.Join(os.RemoveAll(live), os.Symlink(dir, live)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMac(t)
			live := program.BundleDir(m.root())
			check(t, m.install(context.Background(), o))
			check(t, harm(live))
			m.launchd.did = nil
			check(t, m.install(context.Background(), o))
			must(bundle.Verify(live))(t)
			if info := must(os.Lstat(live))(t); !info.IsDir() || !whole(live) {
				t.Errorf("%v is in its place", info.Mode())
			}
			want := []string{"unload " + string(agentsTarget), "unload " + string(supervisorTarget), "load " + string(supervisorTarget), "load " + string(agentsTarget)}
			if !slices.Equal(m.launchd.did, want) {
				t.Errorf("did %q, want %q", m.launchd.did, want)
			}
			must(bundle.Verify(dir))(t) // what a link led to
		})
	}
}

// Rule: what a killed supervisor was writing where launchd looks is swept by the next
// install and uninstall, and nothing of anybody else's.
func TestInstallSweepsDaemons(t *testing.T) {
	ctx := context.Background()
	m, o := newMac(t), installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}
	dir := filepath.Dir(m.daemon(launchd.Supervisor))
	ours := must(fs.ReadFile(launchd.Files(), "LaunchDaemons/"+launchd.Rescue+".plist"))(t)
	begin := func() {
		check(t, os.MkdirAll(dir, 0o755))
		for name, data := range map[string][]byte{
			".tmp-ABCDEFGHIJKLMNOPQRSTUVWX23": ours, ".tmp-BBCDEFGHIJKLMNOPQRSTUVWX23": nil,
			".tmp-CBCDEFGHIJKLMNOPQRSTUVWX23": []byte("<string>com.example.</string>"), ".tmp-lock": ours, "com.example.plist": ours,
		} {
			path, old := filepath.Join(dir, name), time.Now().Add(-time.Hour)
			check(t, os.WriteFile(path, data, 0o600))
			check(t, os.Chtimes(path, old, old))
		}
		link := filepath.Join(dir, ".tmp-DBCDEFGHIJKLMNOPQRSTUVWX23")
		check(t, os.Symlink("com.example.plist", link))
		old := []unix.Timeval{{Sec: 1}, {Sec: 1}}
		check(t, unix.Lutimes(link, old))
		check(t, os.WriteFile(filepath.Join(dir, ".tmp-EBCDEFGHIJKLMNOPQRSTUVWX23"), ours, 0o600)) // somebody is at it
	}
	kept := []string{".tmp-CBCDEFGHIJKLMNOPQRSTUVWX23", ".tmp-DBCDEFGHIJKLMNOPQRSTUVWX23", ".tmp-EBCDEFGHIJKLMNOPQRSTUVWX23", ".tmp-lock", "com.example.plist"}
	lies := func() (names []string) {
		for _, e := range must(os.ReadDir(dir))(t) {
			names = append(names, e.Name())
		}
		return names
	}
	begin()
	check(t, m.install(ctx, o))
	if got, want := lies(), append(slices.Clone(kept), launchd.Supervisor+".plist"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	check(t, os.RemoveAll(dir))
	begin()
	check(t, m.uninstall(ctx, false))
	if got := lies(); !slices.Equal(got, kept) {
		t.Errorf("%q, want %q", got, kept)
	}
}

// Rule: while one installs or uninstalls nobody else does, who says so and changes
// nothing; and a lock that a killed one left is nobody's.
func TestInstallAlone(t *testing.T) {
	ctx := context.Background()
	m, o := newMac(t), installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}
	check(t, durable.MkdirAll(m.root(), 0o755))
	held := must(durable.TryLock(m.lock()))(t)
	before := m.list(t)
	wantRefusal(t, m.install(ctx, o), "another install or uninstall is at work")
	wantRefusal(t, m.uninstall(ctx, true), "another install or uninstall is at work")
	if after := m.list(t); !slices.Equal(before, after) || len(m.launchd.did) > 0 {
		t.Errorf("left %q, did %q", after, m.launchd.did)
	}
	check(t, held.Close())
	check(t, m.install(ctx, o))
	if _, err := os.Lstat(m.lock()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock is left: %v", err)
	}
}

// In a launchdLoads, one job loads another while it is ended.
type launchdLoads struct {
	*launchdMem
	on, loads jobs.Target
}

func (l launchdLoads) Bootout(ctx context.Context, t jobs.Target) error {
	if t == l.on {
		l.files[l.loads] = "x"
	}
	return l.launchdMem.Bootout(ctx, t)
}

// Rule: a rescue that the supervisor loads while it is ended is ended, too.
func TestUninstallDuringATrial(t *testing.T) {
	m := newMac(t)
	check(t, m.install(context.Background(), installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}))
	m.engine = launchdLoads{m.launchd, supervisorTarget, rescueTarget}
	check(t, m.uninstall(context.Background(), false))
	if len(m.launchd.files) > 0 {
		t.Errorf("%v is left", m.launchd.files)
	}
}

// Rule: an uninstall takes the bundle away in one step, after the updater's journal,
// before it removes anything of it; what comes after a kill leaves nothing behind.
func TestUninstallKilled(t *testing.T) {
	ctx := context.Background()
	o := installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}
	for name, again := range map[string]func(*mac) error{
		"installed":   func(m *mac) error { return m.install(ctx, o) },
		"uninstalled": func(m *mac) error { return m.uninstall(ctx, false) },
	} {
		m := newMac(t)
		check(t, m.install(ctx, o))
		names := leaving(must(os.ReadDir(m.root()))(t), keptBySystem())
		if i := slices.Index(names, "update"); i < 0 || slices.Index(names, bundle.Name) != len(names)-1 {
			t.Errorf("%q go in this order", names)
		}
		check(t, m.setAside(keptBySystem()))
		gone := filepath.Join(m.staging(), bundle.Name)
		must(bundle.Verify(gone))(t)
		check(t, os.Remove(bundle.Layout(gone).Seal())) // and here it is killed
		check(t, again(m))
		if _, err := os.Lstat(m.staging()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something is left: %v", name, err)
		}
		if live := program.BundleDir(m.root()); whole(live) != (name == "installed") {
			t.Errorf("%s: the bundle in its place: %v", name, whole(live))
		}
	}
}

// Rule: what killed ones were writing goes with the next; what is not ours to sweep
// never has any.
func TestInstallSweeps(t *testing.T) {
	m, o := newMac(t), installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}
	etc := filepath.Join(m.root(), "etc")
	strangers := filepath.Join(filepath.Dir(m.daemon(launchd.Supervisor)), ".tmp-somebody")
	check(t, errors.Join(os.MkdirAll(etc, 0o755), os.MkdirAll(m.staging(), 0o755), os.MkdirAll(filepath.Dir(strangers), 0o755)))
	for _, path := range []string{m.root() + "/.tmp-X", etc + "/.tmp-X", m.staging() + "/.tmp-X", strangers} {
		check(t, os.WriteFile(path, nil, 0o600))
	}
	check(t, m.install(context.Background(), o))
	for _, line := range m.list(t) {
		if strings.Contains(line, ".tmp-") && !strings.Contains(line, ".tmp-somebody") {
			t.Errorf("left: %s", line)
		}
	}
	must(os.Stat(strangers))(t)
}
