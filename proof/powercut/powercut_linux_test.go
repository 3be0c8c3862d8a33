package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"portward/proof/medium"
	"portward/proof/subject"
)

// room is the private tmpfs; empty without the right to have one.
var room string

// TestMain runs the tests in a mount namespace of their own, and is also the
// process that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == processWord {
		os.Exit(exitCode(os.Args[1:]))
	}
	if os.Geteuid() == 0 {
		dir, code, err := medium.Private()
		if err != nil || code >= 0 {
			os.Exit(told(err, max(code, 0)) | max(code, 0))
		}
		room = dir
	}
	os.Exit(m.Run())
}

func fixture(t *testing.T) (dir string, f *subject.Fixture) {
	t.Helper()
	if room == "" {
		t.Skip("needs root: file systems are mounted")
	}
	dir, err := os.MkdirTemp(room, "test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, "fixture"), 0o755); err != nil {
		t.Fatal(err)
	}
	if f, err = subject.Make(filepath.Join(dir, "fixture")); err != nil {
		t.Fatal(err)
	}
	return dir, f
}

func seed(t *testing.T) uint64 {
	n := uint64(time.Now().UnixNano())
	t.Logf("seed %d", n)
	return n
}

// Rule: a power cut, at any write and whatever of the last window is on the
// disk, leaves one whole bundle in place, the next start runs it, and what was
// reported done stays. The patterns that others use must be seen to break: a
// proof that does not see that proves nothing. A random share of what the
// command tries, on ext4.
func TestPowerCut(t *testing.T) {
	dir, f := fixture(t)
	kind, err := medium.ByName("ext4")
	if err != nil {
		t.Fatal(err)
	}
	o := options{states: 400, limit: 5 * time.Second, seed: seed(t), sector: 512, workers: 4}
	b, err := newBench(dir, kind, f, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.controls(o); err != nil {
		t.Error(err)
	}
	for _, name := range subject.Engine {
		s, err := f.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.cut(name, s, o.states, o.limit)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(r)
		for _, words := range r.tally.words {
			t.Error(words)
		}
	}
}

// Rule: so does a kill before any system call that changes anything, one
// more in the start after it, or an error from any call. A random share.
func TestInjuredAtEachCall(t *testing.T) {
	dir, f := fixture(t)
	w := ward{dir, filepath.Join(dir, "fixture"), f, seed(t), 4, injuries}
	for _, name := range []string{subject.Update, subject.Revert} {
		s, err := f.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		reports, err := w.injure(name, s, 1500*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range reports {
			t.Log(r)
			for _, words := range r.tally.words {
				t.Error(words)
			}
		}
	}
}
