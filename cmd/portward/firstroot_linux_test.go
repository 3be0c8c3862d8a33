package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"portward/internal/bundle"
	"portward/internal/program"
)

// A caller is who holds the other end of a connection to this process.
type caller struct {
	uid  int
	argv []string
}

// callerAt finds who connected from a loopback address, proc(5).
func callerAt(addr string) (caller, error) {
	_, port, _ := strings.Cut(addr, ":")
	n, err := strconv.Atoi(port)
	if err != nil {
		return caller{}, err
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return caller{}, err
	}
	local := fmt.Sprintf("%X:%04X", []byte{1, 0, 0, 127}, n)
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 9 && f[1] == local {
			uid, err := strconv.Atoi(f[7])
			return caller{uid, argvWithSocket(f[9])}, err
		}
	}
	return caller{}, fmt.Errorf("nobody at %s", addr)
}

func argvWithSocket(inode string) []string {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); to == "socket:["+inode+"]" {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(fd)), "cmdline"))
			return strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
		}
	}
	return nil
}

// Rule: nothing of a repository is read by up itself, not even the first root:
// the fetcher of the seed asks for it, under an account that is not root's. A
// repository that has none is an error with a hint, and leaves no seed.
func TestFirstRootComesThroughTheFetcher(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	var callers []caller
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := callerAt(r.RemoteAddr)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		asked, callers = append(asked, r.URL.Path), append(callers, who)
		http.NotFound(w, r)
	}))
	defer server.Close()
	root := newRoot(t, os.Geteuid())
	said := refused(t, binDir(t), root, "--listen", "127.0.0.1:0", "--repo", server.URL)
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(asked, []string{"/metadata/1.root.json"}) {
		t.Errorf("asked for %q", asked)
	}
	for _, c := range callers {
		if len(c.argv) < 2 || c.argv[0] != bundle.Layout(program.BundleDir(root)).Program("portward") || c.argv[1] != fetchVerb {
			t.Errorf("asked by %q", c.argv)
		}
		if os.Geteuid() == 0 && (c.uid < firstUID || c.uid > lastUID) {
			t.Errorf("asked by uid %d", c.uid)
		}
	}
	if !strings.Contains(said, "the repository "+server.URL) || !strings.Contains(said, "hint: is it there") {
		t.Errorf("up said:\n%s", said)
	}
	if _, err := os.Stat(program.BundleDir(root)); err == nil {
		t.Error("a seed is left")
	}
}
