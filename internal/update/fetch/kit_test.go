package fetch

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"portward/internal/update/delta"
	"portward/internal/update/delta/deltatest"
	"portward/internal/update/pipe"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("PORTWARD_FETCH_CHILD"); role != "" {
		os.Exit(child(role))
	}
	goleak.VerifyTestMain(m)
}

// hasty are limits under which nothing takes long.
func hasty() limits {
	return limits{
		connect: 10 * time.Second, header: 10 * time.Second, small: 10 * time.Second,
		window: 10 * time.Second, least: 1,
		tries: 3, backoff: time.Millisecond, patience: time.Second, hold: time.Hour,
	}
}

// fetcher answers one with a cache of its own, or the one given.
func fetcher(t *testing.T, repo string, change ...func(*Config, *limits)) *Fetcher {
	t.Helper()
	cfg, lim := Config{Repo: repo, Version: "1.2.3", Log: t.Logf}, hasty()
	for _, c := range change {
		c(&cfg, &lim)
	}
	if cfg.Cache == "" {
		cfg.Cache = t.TempDir()
	}
	f, err := newFetcher(cfg, lim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func in(cache string) func(*Config, *limits) {
	return func(c *Config, _ *limits) { c.Cache = cache }
}

func limited(change func(*limits)) func(*Config, *limits) {
	return func(_ *Config, l *limits) { change(l) }
}

var zeroTime time.Time // of files whose age says nothing

// A shelf is a repository's files in memory, a server for them, and what was
// asked of it.
type shelf struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	asked []*http.Request
	moved int64                                                    // bytes of bodies
	trick func(w http.ResponseWriter, r *http.Request) (done bool) // before each answer
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{files: map[string][]byte{}}
	s.Server = httptest.NewServer(s)
	s.Server.Config.ErrorLog = quiet()
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r)
	trick, data, found := s.trick, s.files[strings.TrimPrefix(r.URL.Path, "/")], false
	if data != nil {
		found = true
	}
	s.mu.Unlock()
	counted := &counted{ResponseWriter: w, s: s}
	if trick != nil && trick(counted, r) {
		return
	}
	if !found {
		http.NotFound(w, r)
		return
	}
	if w.Header().Get("ETag") == "" {
		w.Header().Set("ETag", `"`+hashOf(data)[:12]+`"`)
	}
	http.ServeContent(counted, r, "", zeroTime, bytes.NewReader(data))
}

type counted struct {
	http.ResponseWriter
	s   *shelf
	cut int64 // the connection breaks after so many bytes; 0: never
	n   int64
}

func (c *counted) Write(p []byte) (int, error) {
	if left := c.cut - c.n; c.cut > 0 && int64(len(p)) > left {
		p = p[:left]
		defer panic(http.ErrAbortHandler)
		defer http.NewResponseController(c.ResponseWriter).Flush()
	}
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	c.s.mu.Lock()
	c.s.moved += int64(n)
	c.s.mu.Unlock()
	return n, err
}

func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (s *shelf) put(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = data
}

func (s *shelf) setTrick(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trick = f
}

// count answers how many requests for names with that beginning there were, and
// forgets all.
func (s *shelf) count(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.asked {
		if strings.HasPrefix(r.URL.Path, "/"+prefix) {
			n++
		}
	}
	s.asked = nil
	return n
}

func (s *shelf) took() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.moved
	s.moved = 0
	return n
}

// An offer is a delivery in the making.
type offer struct {
	t     *testing.T
	put   func(name string, data []byte)
	items map[string]Item
	want  pipe.Want
}

func offerOn(t *testing.T, put func(string, []byte)) *offer {
	return &offer{t: t, put: put, items: map[string]Item{}}
}

// add offers a content, and patches from old ones.
func (o *offer) add(content []byte, codec string, olds ...[]byte) pipe.File {
	o.t.Helper()
	blob := content
	if codec == Zstd {
		blob = squeeze(o.t, content)
	}
	item := Item{SHA256: hashOf(content), Size: int64(len(content)),
		Blob: Blob{SHA256: hashOf(blob), Size: int64(len(blob)), Codec: codec, Pieces: Pieces(blob)}}
	o.put("b/"+hashOf(blob), blob)
	for _, old := range olds {
		patch, err := delta.All()[0].Diff(old, content)
		if err != nil {
			o.t.Fatal(err)
		}
		o.put("b/"+hashOf(patch), patch)
		item.Deltas = append(item.Deltas, Delta{From: hashOf(old), Algorithm: delta.All()[0].Name(), SHA256: hashOf(patch), Size: int64(len(patch))})
	}
	return o.addItem(item)
}

func (o *offer) addItem(item Item) pipe.File {
	o.items[item.SHA256] = item
	file := pipe.File{SHA256: item.SHA256, Size: item.Size}
	o.want.Files = append(o.want.Files, file)
	return file
}

// have says that an old content lies there.
func (o *offer) have(old []byte, path string) {
	o.want.Have = append(o.want.Have, pipe.Local{SHA256: hashOf(old), Path: path})
}

func (o *offer) close() pipe.Want {
	o.t.Helper()
	d := Delivery{Format: Format}
	for _, hash := range slices.Sorted(maps.Keys(o.items)) {
		d.Files = append(d.Files, o.items[hash])
	}
	data, err := json.Marshal(d)
	if err != nil {
		o.t.Fatal(err)
	}
	o.want.SHA256, o.want.Size = hashOf(data), int64(len(data))
	o.want.Name = "targets/stable/linux-amd64/" + o.want.SHA256 + ".delivery.json"
	o.put(o.want.Name, data)
	return o.want
}

func squeeze(t *testing.T, content []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	return enc.EncodeAll(content, nil)
}

func prepare(t *testing.T, f *Fetcher, w pipe.Want) pipe.Plan {
	t.Helper()
	plan, err := f.Prepare(w)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// take checks that a content comes, and answers what was told of it.
func take(t *testing.T, f *Fetcher, file pipe.File) (total int64) {
	t.Helper()
	var got bytes.Buffer
	if err := f.File(file, false, &got, func(_, n int64) { total = n }); err != nil {
		t.Fatal(err)
	}
	if hashOf(got.Bytes()) != file.SHA256 {
		t.Fatalf("%d other bytes came", got.Len())
	}
	return total
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v instead of %v", err, want)
	}
}

func wantText(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("%v does not say %q", err, text)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("the cache has %q instead of %q", got, want)
	}
}

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func noise(n int, seed uint16) []byte { return deltatest.Noise(n, seed) }

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func page(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprint(w, "\n<!DOCTYPE html><title>Welcome to the hotel</title>")
	return true
}
