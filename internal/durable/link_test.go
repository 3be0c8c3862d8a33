package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Rule: what is in the way of a link stays, and nothing but a regular file is
// linked.
func TestLinkRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, at("f"), "x")
	put(t, at("there"), "old")
	if err := os.Symlink("f", at("symlink")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from, to string
		want     error
	}{
		"something is there":  {"f", "there", fs.ErrExist},
		"nothing to link":     {"none", "new", fs.ErrNotExist},
		"no directory for it": {"f", "none/new", fs.ErrNotExist},
		"a symbolic link":     {"symlink", "new", nil},
		"a pipe":              {"pipe", "new", nil},
		"a directory":         {".", "new", nil},
	} {
		err := Link(at(c.from), at(c.to))
		if err == nil || c.want != nil && !errors.Is(err, c.want) || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantFile(t, at("there"), "old", 0o600)
	wantNames(t, dir, "f", "pipe", "symlink", "there")
}

// Rule: a link that cannot be is told from one that went wrong, for only the
// first is mended by a copy.
func TestCannotLink(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EXDEV: true, syscall.EPERM: true, syscall.EMLINK: true, syscall.ENOTSUP: true,
		syscall.EEXIST: false, syscall.ENOENT: false, syscall.ENOSPC: false, syscall.EIO: false, syscall.EACCES: false, syscall.EROFS: false,
	} {
		if got := cannotLink(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// Rule: a link has the content and the mode, and outlives the other name.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	put(t, from, "x")
	if err := os.Chmod(from, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Link(from, to); err != nil {
		t.Fatal(err)
	}
	if err := Write(from, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, to, "x", 0o755)
}

// traced answers a disk that notes what is synced, relative to dir, and the
// notes.
func traced(t *testing.T, dir string) (disk, *[]string) {
	t.Helper()
	var trace []string
	return disk{sync: func(f *os.File) error {
		rel, err := filepath.Rel(dir, f.Name())
		trace = append(trace, rel)
		return err
	}}, &trace
}

// Rule: a link is synced itself, for it may be a new inode, and then its name.
func TestLinkSyncsFileThenDirectory(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "f"), "x")
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	d, trace := traced(t, dir)
	if err := d.link(filepath.Join(dir, "f"), filepath.Join(dir, "sub/g")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"sub/g", "sub"}; !slices.Equal(*trace, want) {
		t.Fatalf("synced %q, want %q", *trace, want)
	}
}

// Rule: a tree is synced from the leaves to the root and one further, so that
// no synced name lies above an unsynced file; links lead nowhere, and a pipe
// blocks nobody.
func TestSyncTree(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tree/a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"outside", "tree/f", "tree/a/f", "tree/a/b/f"} {
		put(t, filepath.Join(dir, f), "x")
	}
	for link, to := range map[string]string{"tree/a/link": "../../outside", "tree/a/up": "../.."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "tree/a/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, trace := traced(t, dir)
	if err := d.syncTree(filepath.Join(dir, "tree") + "/"); err != nil {
		t.Fatal(err)
	}
	seen := slices.Sorted(slices.Values(*trace))
	if want := []string{".", "tree", "tree/a", "tree/a/b", "tree/a/b/f", "tree/a/f", "tree/f"}; !slices.Equal(seen, want) {
		t.Fatalf("synced %q, want %q", seen, want)
	}
	for i, path := range *trace {
		for _, later := range (*trace)[i+1:] {
			if path == "." || strings.HasPrefix(later, path+"/") {
				t.Errorf("%s was synced before %s", path, later)
			}
		}
	}
	if err := SyncTree(filepath.Join(dir, "tree")); err != nil {
		t.Fatal(err)
	}
}

// Rule: a tree of which anything is not on the disk is not on the disk.
func TestSyncTreeFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tree/a"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "tree/a/f"), "x")
	if err := os.Symlink("tree", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for _, bad := range []string{"tree/a/f", "tree/a", "tree", "."} {
		d := disk{sync: func(f *os.File) error {
			if rel, _ := filepath.Rel(dir, f.Name()); rel == bad {
				return broken
			}
			return nil
		}}
		if err := d.syncTree(filepath.Join(dir, "tree")); !errors.Is(err, broken) {
			t.Errorf("%s is not on the disk: %v", bad, err)
		}
	}
	for _, path := range []string{"none", "link", "tree/a/f"} {
		if err := SyncTree(filepath.Join(dir, path)); err == nil {
			t.Errorf("%s passed for a tree", path)
		}
	}
}

// Rule: a copy replaces whatever lies there, and never writes into it.
func TestCopy(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, at("a"), "new")
	put(t, at("b"), "old")
	put(t, at("c"), "linked")
	if err := errors.Join(os.Chmod(at("a"), 0o644), os.Chmod(at("c"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("c"), at("l")); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{at("b"), at("l"), at("none")} {
		if err := Copy(at("a"), to, 0o644); err != nil {
			t.Fatal(err)
		}
		wantFile(t, to, "new", 0o644)
	}
	wantFile(t, at("c"), "linked", 0o644)
	if err := Copy(at("missing"), at("b"), 0o644); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
