package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
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
	key.ctime -= int64(time.Hour)
	if _, err := seal.digests.of(f, key); err != nil {
		t.Fatalf("a file that was touched while it was read has no digest: %v", err)
	}
	if _, ok := seal.digests.get(key); ok {
		t.Fatal("a digest is remembered of a file that is not what it was")
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

// Rule: a link to a running program, which is what an update makes, costs a
// second reading and no peer.
func TestDigestOfALinkedFile(t *testing.T) {
	path := program(t, "net")
	f := openFile(t, path)
	key, err := keyOf(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, path+"-linked"); err != nil {
		t.Fatal(err)
	}
	var c digestCache
	if sum, err := c.of(f, key); err != nil || sum != digest("net") {
		t.Fatalf("%s, %v", sum, err)
	}
}

// Rule: a digest is of bytes that were the same before and after; a file that
// goes on changing has none.
func TestSteady(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		looks    []int64 // sizes, the first of before; -1 is an error
		readings int
		err      string
	}{
		"left alone":     {[]int64{3, 3}, 1, ""},
		"touched once":   {[]int64{3, 4, 4}, 2, ""},
		"touched twice":  {[]int64{3, 4, 3, 3}, 3, ""},
		"ever changing":  {[]int64{3, 4, 5, 6, 6}, 3, "changed"},
		"gone":           {[]int64{3, -1}, 1, "broken"},
		"cannot be read": {[]int64{-1}, 1, "broken"},
	} {
		readings := 0
		look := func() (fileKey, error) {
			if size := c.looks[readings]; size >= 0 {
				return fileKey{size: size}, nil
			}
			return fileKey{}, broken
		}
		read := func(size int64) (string, error) {
			readings++
			if size < 0 {
				return "", broken
			}
			return fmt.Sprint(size), nil
		}
		key, sum, err := steady(fileKey{size: c.looks[0]}, look, read)
		if readings != c.readings || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %d readings, %v", name, readings, err)
		}
		if err == nil && sum != fmt.Sprint(key.size) {
			t.Errorf("%s: the digest of %s for %d", name, sum, key.size)
		}
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
