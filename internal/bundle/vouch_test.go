package bundle

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portward/internal/durable"
)

// vouch lays files into Tuf as an updater does.
func vouch(t *testing.T, dst string) {
	t.Helper()
	l := Layout(dst)
	if err := durable.MkdirAll(l.Tuf(), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root.json", "targets.json"} {
		if err := durable.Write(filepath.Join(l.Tuf(), name), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// reseal changes the entries of a bundle's seal, and nothing else.
func reseal(t *testing.T, dst string, change func(*Entry)) {
	t.Helper()
	s, err := ReadSeal(dst)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Entries {
		change(&s.Entries[i])
	}
	data, err := s.Bytes()
	if err == nil {
		err = durable.Write(Layout(dst).Seal(), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Rule: beside the seal lie the two files that vouch for it and nothing else, as
// plain as the rest and of a bounded size.
func TestVerifyRefusesInTuf(t *testing.T) {
	const root = tufDir + "/root.json"
	for name, c := range map[string]struct {
		harm func(at func(string) string) error
		says string
	}{
		"a file more":      {func(at func(string) string) error { return os.WriteFile(at(tufDir+"/x.json"), nil, 0o644) }, "x.json: not listed"},
		"another case":     {func(at func(string) string) error { return os.Rename(at(root), at(tufDir+"/Root.json")) }, "Root.json: not listed"},
		"a numbered root":  {func(at func(string) string) error { return os.Rename(at(root), at(tufDir+"/1.root.json")) }, "1.root.json: not listed"},
		"a directory more": {func(at func(string) string) error { return os.Mkdir(at(tufDir+"/x"), 0o755) }, "x: not listed"},
		"a link":           {func(at func(string) string) error { return moveAndLink(at(root), at("../root.json")) }, "a symbolic link"},
		"a pipe": {func(at func(string) string) error {
			return replace(at(root), func(p string) error { return syscall.Mkfifo(p, 0o644) })
		}, "a pipe"},
		"a directory": {func(at func(string) string) error {
			return replace(at(root), func(p string) error { return os.Mkdir(p, 0o755) })
		}, "a directory, not a file"},
		"executable":          {func(at func(string) string) error { return os.Chmod(at(root), 0o755) }, "mode 0755"},
		"private":             {func(at func(string) string) error { return os.Chmod(at(root), 0o600) }, "mode 0600"},
		"others may write":    {func(at func(string) string) error { return os.Chmod(at(root), 0o666) }, "others may write"},
		"set-gid":             {func(at func(string) string) error { return os.Chmod(at(root), 0o644|fs.ModeSetgid) }, "set-id"},
		"too large":           {func(at func(string) string) error { return os.Truncate(at(root), maxVouching+1) }, "4000001 bytes"},
		"a private directory": {func(at func(string) string) error { return os.Chmod(at(tufDir), 0o700) }, "mode 0700"},
		"all write there":     {func(at func(string) string) error { return os.Chmod(at(tufDir), 0o777) }, "others may write"},
		"a file for it": {func(at func(string) string) error {
			return replace(at(tufDir), func(p string) error { return os.WriteFile(p, nil, 0o644) })
		}, "a file, not a dir"},
		"a link for it": {func(at func(string) string) error { return moveAndLink(at(tufDir), at("../tuf")) }, "a symbolic link"},
		"one beside the seal": {func(at func(string) string) error {
			return os.WriteFile(at("Portward.app/Contents/Resources/root.json"), nil, 0o644)
		}, "Resources/root.json: not listed"},
		"one in another place": {func(at func(string) string) error { return os.Mkdir(at("Portward.app/Contents/tuf"), 0o755) }, "Portward.app/Contents/tuf: not listed"},
	} {
		t.Run(name, func(t *testing.T) {
			dst := build(t)
			vouch(t, dst)
			if err := c.harm(func(inside string) string { return filepath.Join(dst, inside) }); err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(dst); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want it to name %q", err, c.says)
			}
		})
	}
}

// Rule: who vouches does not change what is vouched for: the files may come, go
// and change, and may be as large as is allowed.
func TestVerifyAllowsVouching(t *testing.T) {
	dst := build(t)
	before, err := Verify(dst)
	if err != nil {
		t.Fatal(err)
	}
	vouch(t, dst)
	large := bytes.Repeat([]byte("x"), maxVouching)
	for _, step := range []func() error{
		func() error { return nil },
		func() error { return durable.Write(filepath.Join(Layout(dst).Tuf(), "root.json"), large, 0o644) },
		func() error { return os.Remove(filepath.Join(Layout(dst).Tuf(), "targets.json")) },
		func() error { return os.Remove(filepath.Join(Layout(dst).Tuf(), "root.json")) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		if after, err := Verify(dst); err != nil || after.Hash() != before.Hash() {
			t.Fatal(err)
		}
	}
}

// Rule: the one set-id bit that a seal may ask for is there if and only if it
// does.
func TestVerifySetGID(t *testing.T) {
	const net = "Portward.app/Contents/MacOS/netchild"
	dst := build(t)
	at := filepath.Join(dst, net)
	reseal(t, dst, func(e *Entry) {
		if e.Path == net {
			e.Mode = setGID
		}
	})
	for _, c := range []struct {
		mode os.FileMode
		says string // empty: accepted
	}{
		{0o755, "mode 0755, the seal says 2755"},
		{0o755 | fs.ModeSetuid, "set-id"},
		{0o755 | fs.ModeSetgid | fs.ModeSetuid, "set-id"},
		{0o755 | fs.ModeSetgid | fs.ModeSticky, "sticky"},
		{0o775 | fs.ModeSetgid, "others may write"},
		{0o754 | fs.ModeSetgid, "mode 2754"},
		{0o755 | fs.ModeSetgid, ""},
	} {
		if err := os.Chmod(at, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(dst)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: got %v, want it to name %q", c.mode, err, c.says)
		}
	}
	if err := os.Chmod(filepath.Join(dst, "Portward.app/Contents/MacOS/supervisor"), 0o755|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dst); err == nil || !strings.Contains(err.Error(), "supervisor: set-id") {
		t.Errorf("of another program: %v", err)
	}
}

// Rule: what lies there and is finished is a bundle, whatever a killed writer left;
// and what does not lie there is said of each entry.
func TestFinish(t *testing.T) {
	dst := build(t)
	seal, err := Verify(dst)
	if err != nil {
		t.Fatal(err)
	}
	l := Layout(dst)
	if err := errors.Join(os.Remove(l.Seal()), os.MkdirAll(l.Tuf(), 0o755), os.WriteFile(filepath.Join(l.Tuf(), ".tmp-1"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := Finish(dst, seal, []byte("root"), []byte("targets")); err != nil {
		t.Fatal(err)
	}
	if again, err := Verify(dst); err != nil || again.Hash() != seal.Hash() {
		t.Errorf("finished: %v", err)
	}
	for _, e := range seal.Entries {
		path := filepath.Join(dst, e.Path)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != e.FileMode() || !e.LiesAt(path) || e.LiesAt(path+"x") {
			t.Errorf("%s: %v", e.Path, err)
		}
	}
}
