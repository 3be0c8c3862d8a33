package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Rule: a program is known by its bytes, under any name; nothing else is.
func TestIdentify(t *testing.T) {
	dst := build(t)
	seal, err := Verify(dst)
	if err != nil {
		t.Fatal(err)
	}
	copied := program(t, "net")
	for path, want := range map[string]string{
		Layout(dst).Program("netchild"):   "dev.portward.netchild",
		Layout(dst).Program("supervisor"): "dev.portward.supervisor",
		copied:                            "dev.portward.netchild",
	} {
		if got, err := seal.Identify(openFile(t, path)); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", path, got, err, want)
		}
	}
	for name, path := range map[string]string{
		"same size":              program(t, "nEt"),
		"another size":           program(t, "network"),
		"empty":                  program(t, ""),
		"sealed, but no program": filepath.Join(Layout(dst).LaunchAgents(), "dev.portward.guiagent.plist"),
		"a directory":            dst,
	} {
		if got, err := seal.Identify(openFile(t, path)); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}

// Rule: the file's offset is nobody's business, and many may ask at once.
func TestIdentifyIsShared(t *testing.T) {
	seal, err := ReadSeal(build(t))
	if err != nil {
		t.Fatal(err)
	}
	f := openFile(t, program(t, "super"))
	if _, err := f.Seek(3, 0); err != nil {
		t.Fatal(err)
	}
	var askers sync.WaitGroup
	for range 8 {
		askers.Go(func() {
			if got, err := seal.Identify(f); err != nil || got != "dev.portward.supervisor" {
				t.Errorf("it is %q, %v", got, err)
			}
		})
	}
	askers.Wait()
	if at, err := f.Seek(0, 1); err != nil || at != 3 {
		t.Fatalf("the offset is %d, %v", at, err)
	}
}

// Rule: a digest is remembered only for a file that has been left alone for a
// while, and forgotten with the first change of anything the kernel shows.
func TestDigestCache(t *testing.T) {
	seal, err := ReadSeal(build(t))
	if err != nil {
		t.Fatal(err)
	}
	path := program(t, "net")
	f := openFile(t, path)
	key, err := keyOf(f)
	if err != nil {
		t.Fatal(err)
	}
	key.ctime = time.Now().Add(time.Hour).UnixNano()
	if _, err := seal.digests.of(f, key); err == nil {
		t.Fatal("a file that is not what it was got a digest")
	}
	seal.digests.put(key, "wrong") // another key: must not be found
	if got, err := seal.Identify(f); err != nil || got != "dev.portward.netchild" {
		t.Fatalf("it is %q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("nEt"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := seal.Identify(f); !errors.Is(err, ErrUnknown) {
		t.Fatalf("after the change it is %q, %v", got, err)
	}
	for i := range 3 * maxDigests {
		seal.digests.put(fileKey{ino: uint64(i)}, "x")
	}
	if n := len(seal.digests.sums); n > maxDigests {
		t.Fatalf("%d digests are remembered", n)
	}
}

// Rule: a settled file is read once.
func TestDigestIsRemembered(t *testing.T) {
	seal, err := ReadSeal(build(t))
	if err != nil {
		t.Fatal(err)
	}
	f := openFile(t, program(t, "net"))
	deadline := time.Now().Add(20 * time.Second)
	for len(seal.digests.sums) == 0 {
		if _, err := seal.Identify(f); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is remembered")
		}
		time.Sleep(50 * time.Millisecond) // polling for the file to be old enough
	}
	for key := range seal.digests.sums {
		seal.digests.sums[key] = zeros
	}
	if _, err := seal.Identify(f); !errors.Is(err, ErrUnknown) {
		t.Fatalf("the file was read again: %v", err)
	}
}
