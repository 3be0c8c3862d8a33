package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portward/internal/update/pipe"
)

// child is this test's program in another role: "serve" is Main, the others are
// in the files of their tests.
func child(role string) int {
	var cfg Config
	if err := json.Unmarshal([]byte(os.Getenv("PORTWARD_FETCH_CONFIG")), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cfg.Log = func(f string, args ...any) { fmt.Fprintf(os.Stderr, f+"\n", args...) }
	if as, err := strconv.Atoi(os.Getenv("PORTWARD_FETCH_AS")); err == nil && as != os.Geteuid() {
		if err := errors.Join(syscall.Setgid(as), syscall.Setuid(as)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if role == "confined" {
		return confined(cfg, os.Getenv("PORTWARD_FETCH_OUTSIDE"))
	}
	if err := Main(context.Background(), cfg, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func childOf(t *testing.T, role string, cfg Config, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log = nil
	text, err := json.Marshal(struct{ Repo, CA, Proxy, Cache, Live string }{cfg.Repo, cfg.CA, cfg.Proxy, cfg.Cache, cfg.Live})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), append(env, "PORTWARD_FETCH_CHILD="+role, "PORTWARD_FETCH_CONFIG="+string(text))...)
	cmd.Stderr = os.Stderr
	return cmd
}

// A process is a fetcher of its own, and our end of its pipes.
type process struct {
	*pipe.Client
	cmd *exec.Cmd
	in  io.Closer
}

func serving(t *testing.T, cfg Config, env ...string) *process {
	t.Helper()
	cmd := childOf(t, "serve", cfg, env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{pipe.NewClient(out, in), cmd, in}
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// Rule: killed at whatever byte, again and again, a fetcher goes on where the
// one before was; all of them together move at most 101 % of what is wanted,
// handshakes, heads and what was in flight included.
func TestKilled(t *testing.T) {
	const size, lives = 24 << 20, 6
	n := startNginx(t, "")
	o := offerOn(t, n.put)
	file := o.add(noise(size, 4), None)
	want := o.close()
	cfg := Config{CA: n.ca, Cache: t.TempDir()}
	var p atomic.Pointer[process]
	var killing sync.Mutex // what a dead fetcher's connection still carries is told beside its successor's
	kills, dead := 0, make(chan struct{})
	// The network holds still at some byte, until what came is written down: all
	// but the record that is not whole and what is no payload.
	m := meterTo(t, n.addr(), func(down int64) {
		killing.Lock()
		defer killing.Unlock()
		if kills >= lives-1 || down < int64(kills+1)*(size/lives-12345) {
			return
		}
		kills++
		least := down - down/500 - int64(kills)*(20<<10)
		for end := time.Now().Add(5 * time.Second); partSize(cfg, file) < least && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		p.Load().cmd.Process.Kill()
		<-dead
	})
	cfg.Repo = m.url()
	var got bytes.Buffer
	for range lives {
		f := serving(t, cfg)
		p.Store(f)
		if _, err := f.Prepare(want); err != nil {
			t.Fatal(err)
		}
		got.Reset()
		if err := f.File(file, false, &got, nil); err == nil {
			break
		}
		f.kill()
		dead <- struct{}{}
	}
	killing.Lock()
	defer killing.Unlock()
	down := m.down.Load()
	t.Logf("%d bytes down for %d in %d lives", down, file.Size, kills+1)
	if hashOf(got.Bytes()) != file.SHA256 || kills != lives-1 || down > size+size/100 {
		t.Errorf("%d bytes came, %d kills, %d bytes down for %d", got.Len(), kills, down, file.Size)
	}
}

func partSize(cfg Config, file pipe.File) int64 {
	info, err := os.Stat(filepath.Join(cfg.Cache, file.SHA256+partSuffix))
	if err != nil {
		return 0
	}
	return info.Size()
}

// Rule: when its asker goes, a fetcher goes, in the middle of whatever it does.
func TestAskerGone(t *testing.T) {
	n := startNginx(t, "10k")
	o := offerOn(t, n.put)
	file := o.add(noise(4<<20, 5), None)
	want := o.close()
	p := serving(t, Config{Repo: "https://" + n.addr(), CA: n.ca, Cache: t.TempDir()})
	if _, err := p.Prepare(want); err != nil {
		t.Fatal(err)
	}
	err := p.File(file, false, io.Discard, func(_, _ int64) { p.in.Close() })
	if err == nil {
		t.Error("no error")
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("its end: %v", err)
	}
}

// Rule: the second fetcher of a cache waits for the first to go.
func TestOneCacheOneFetcher(t *testing.T) {
	s, dir := newShelf(t), t.TempDir()
	lock, err := lockCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := serving(t, Config{Repo: s.URL, Cache: dir})
	answered := make(chan error, 1)
	go func() {
		_, err := p.Get("x", 100, "")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("it answered %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	lock.Close()
	wantErr(t, <-answered, pipe.ErrNotFound)
}

// Rule: serving leaves nothing behind, whichever end goes first.
func TestServe(t *testing.T) {
	s := newShelf(t)
	s.put("x", []byte("{}"))
	for _, byContext := range []bool{false, true} {
		ignore := goleak.IgnoreCurrent()
		f := fetcher(t, s.URL)
		ctx, cancel := context.WithCancel(t.Context())
		inR, inW := io.Pipe()
		outR, outW := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- f.serve(ctx, inR, outW) }()
		c := pipe.NewClient(outR, inW)
		if got, err := c.Get("x", 100, ""); err != nil || string(got) != "{}" {
			t.Errorf("%q, %v", got, err)
		}
		if byContext {
			cancel()
		} else {
			inW.Close()
		}
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		cancel()
		inW.Close()
		f.Close()
		s.CloseClientConnections()
		goleak.VerifyNone(t, ignore)
	}
}

// Rule: of its environment a fetcher keeps how to reach the network and whom to
// trust.
func TestEnvironment(t *testing.T) {
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value) // put back afterwards
	}
	t.Setenv("https_proxy", "http://p")
	t.Setenv("SSL_CERT_DIR", "/c")
	t.Setenv("SECRET", "s")
	tidyEnvironment()
	got := os.Environ()
	for _, pair := range got {
		if name, _, _ := strings.Cut(pair, "="); !strings.Contains("HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR", strings.ToUpper(name)) {
			t.Errorf("%s", pair)
		}
	}
	if os.Getenv("https_proxy") != "http://p" || os.Getenv("SSL_CERT_DIR") != "/c" {
		t.Errorf("%q", got)
	}
}

// Rule: without a configured proxy the fetcher, a process of its own, takes the
// environment's; the repository's name is then the proxy's to resolve.
func TestProxyOfTheEnvironment(t *testing.T) {
	asked := make(chan string, 8)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	p := serving(t, Config{Repo: "https://repository.invalid/", Cache: t.TempDir()}, "HTTPS_PROXY="+proxy.URL)
	_, err := p.Get("x", 100, "")
	wantText(t, err, fmt.Sprintf("proxy %s answered 403", proxy.Listener.Addr()))
	if got := <-asked; got != "CONNECT repository.invalid:443" {
		t.Errorf("the proxy was asked for %q", got)
	}
}
