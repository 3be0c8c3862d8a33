package durable

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// names answers what lies in dir, sorted.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func wantFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != text {
		t.Fatalf("%s holds %q, %v; want %q", path, data, err, text)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode {
		t.Fatalf("%s has mode %v, %v; want %v", path, info.Mode(), err, mode)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Rule: the mode is the one asked for, whatever the umask says.
func TestWriteModeIgnoresUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "f")
	if err := Write(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "x", 0o644)
	if err := Write(path, []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "y", 0o600)
	if err := Append(filepath.Join(filepath.Dir(path), "a"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(filepath.Dir(path), "a"), "x", 0o644)
}

// Rule: a replaced file is a new inode; who has the old one open keeps it.
func TestWriteIsANewInode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "old")
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := Write(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(old); err != nil || string(data) != "old" {
		t.Fatalf("the open file holds %q, %v", data, err)
	}
	wantFile(t, path, "new", 0o600)
}

// Rule: a symbolic link at the path is replaced, not followed.
func TestWriteReplacesALink(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "target"), "untouched")
	link := filepath.Join(dir, "link")
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if err := Write(link, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, link, "x", 0o600)
	wantFile(t, filepath.Join(dir, "target"), "untouched", 0o600)
}

// Rule: readers see one whole version or the other, at every instant.
func TestReadersSeeWholeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	a, b := bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<15)
	if err := Write(path, a, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				data, err := os.ReadFile(path)
				if err != nil || !bytes.Equal(data, a) && !bytes.Equal(data, b) {
					t.Errorf("read %d bytes, %v", len(data), err)
					return
				}
			}
		})
	}
	for i := range 100 {
		if err := Write(path, [][]byte{a, b}[i%2], 0o600); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}

// Rule: the file is synced under its temporary name, the directory after the
// rename; that is all.
func TestWriteSyncsFileThenDirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	var trace []string
	d := disk{sync: func(f *os.File) error {
		_, err := os.Stat(path)
		switch {
		case f.Name() == dir && err == nil:
			trace = append(trace, "directory with the name")
		case strings.HasPrefix(f.Name(), filepath.Join(dir, tempPrefix)) && errors.Is(err, fs.ErrNotExist):
			info, _ := f.Stat()
			trace = append(trace, "file of mode "+info.Mode().String())
		default:
			trace = append(trace, "unexpected "+f.Name())
		}
		return nil
	}}
	if err := d.write(path, strings.NewReader("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if want := []string{"file of mode -rw-r--r--", "directory with the name"}; !slices.Equal(trace, want) {
		t.Fatalf("synced %q, want %q", trace, want)
	}
}

// Rule: every new directory and every parent that gained one is synced,
// children last, so that no synced name lies below an unsynced one.
func TestMkdirAllSyncsParents(t *testing.T) {
	dir := t.TempDir()
	var trace []string
	d := disk{sync: func(f *os.File) error {
		rel, err := filepath.Rel(dir, f.Name())
		trace = append(trace, rel)
		return err
	}}
	if err := d.mkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", ".", "a/b", "a"}; !slices.Equal(trace, want) {
		t.Fatalf("synced %q, want %q", trace, want)
	}
}

// Rule: a rename syncs the directory that gained the name before the one that
// lost it, and one directory once.
func TestRenameSyncsBothParents(t *testing.T) {
	dir := t.TempDir()
	var trace []string
	d := disk{sync: func(f *os.File) error {
		trace = append(trace, filepath.Base(f.Name()))
		return nil
	}}
	for _, sub := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, "one/f"), "x")
	if err := d.rename(filepath.Join(dir, "one/f"), filepath.Join(dir, "two/f")); err != nil {
		t.Fatal(err)
	}
	if err := d.rename(filepath.Join(dir, "two/f"), filepath.Join(dir, "two/g")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"two", "one", "two"}; !slices.Equal(trace, want) {
		t.Fatalf("synced %q, want %q", trace, want)
	}
}

// Rule: whatever goes wrong, the old file stays and no temporary file does.
func TestFailedWriteLeavesNothing(t *testing.T) {
	broken := errors.New("broken")
	good := func(*os.File) error { return nil }
	bad := func(*os.File) error { return broken }
	t.Run("sync", func(t *testing.T) {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "f"), "old")
		err := disk{sync: bad}.write(filepath.Join(dir, "f"), strings.NewReader("new"), 0o600)
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(dir, "f"), "old", 0o600)
		wantNames(t, dir, "f")
	})
	t.Run("reader", func(t *testing.T) {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "f"), "old")
		r := io.MultiReader(strings.NewReader("half"), readerFunc(func([]byte) (int, error) { return 0, broken }))
		if err := (disk{sync: good}).write(filepath.Join(dir, "f"), r, 0o600); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(dir, "f"), "old", 0o600)
		wantNames(t, dir, "f")
	})
	t.Run("rename onto a directory", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "f"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := Write(filepath.Join(dir, "f"), nil, 0o600); err == nil {
			t.Fatal("a directory was replaced by a file")
		}
		wantNames(t, dir, "f")
	})
	t.Run("no directory", func(t *testing.T) {
		if err := Write(filepath.Join(t.TempDir(), "no", "f"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Fatalf("%s holds %q, want %q", dir, got, want)
	}
}

// Rule: append adds, creates once, and does not touch the mode afterwards.
func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, s := range []string{"one\n", "two\n"} {
		if err := Append(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantFile(t, path, "one\ntwo\n", 0o600)
}

// Rule: what is made has the mode asked for; what was there is left alone.
func TestMkdirAll(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	before, _ := os.Stat(dir)
	if err := MkdirAll(filepath.Join(dir, "a", "b")+"/", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"a", "a/b"} {
		info, err := os.Stat(filepath.Join(dir, sub))
		if err != nil || info.Mode() != fs.ModeDir|0o755 {
			t.Fatalf("%s: %v, %v", sub, info.Mode(), err)
		}
	}
	if after, _ := os.Stat(dir); after.Mode() != before.Mode() {
		t.Fatalf("the parent was %v and is %v", before.Mode(), after.Mode())
	}
}

// Rule: a file or a dangling link where a directory should be is an error.
func TestMkdirAllInTheWay(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), "x")
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"file", "file/sub", "link", "link/sub"} {
		if err := MkdirAll(filepath.Join(dir, path), 0o755); err == nil {
			t.Errorf("%s became a directory", path)
		}
	}
	wantNames(t, dir, "file", "link")
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "f"), "x")
	if err := Remove(filepath.Join(dir, "f")); err != nil {
		t.Fatal(err)
	}
	if err := Remove(filepath.Join(dir, "f")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a second remove: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is not there, which is no error
		if err := RemoveAll(filepath.Join(dir, "a") + "/"); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveAll(filepath.Join(dir, "no/such")); err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir)
}

// Rule: sweeping removes leftovers of writers and nothing else.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	d := disk{sync: func(*os.File) error { return nil }}
	if _, err := d.writeTemp(dir, strings.NewReader("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "f"), "x")
	if err := os.Mkdir(filepath.Join(dir, tempPrefix+"dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir, tempPrefix+"dir", "f")
}
