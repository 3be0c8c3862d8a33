package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portward/internal/update/pipe"
)

// Rule: a repository is reached by TLS, or lies on this machine; its address
// holds nothing that is secret.
func TestBadConfigs(t *testing.T) {
	dir := t.TempDir()
	noCert := write(t, dir, "ca.pem", []byte("nothing"))
	for _, cfg := range []Config{
		{Repo: "http://example.org/r"},
		{Repo: "http://127.0.0.1.example.org/r"},
		{Repo: "ftp://127.0.0.1/"},
		{Repo: "file:///etc"},
		{Repo: "/srv/repo"},
		{Repo: "https:///r"},
		{Repo: ""},
		{Repo: "https://user:secret@example.org/"},
		{Repo: "https://example.org/?key=secret"},
		{Repo: "https://example.org/%zz"},
		{Repo: "https://example.org/", Proxy: "gopher://p"},
		{Repo: "https://example.org/", Proxy: "http://"},
		{Repo: "https://example.org/", Proxy: "http://user:secret@%zz"},
		{Repo: "https://example.org/", CA: filepath.Join(dir, "missing")},
		{Repo: "https://example.org/", CA: noCert},
		{Repo: "https://example.org/", Cache: "relative"},
		{Repo: "https://example.org/", Cache: noCert},
	} {
		if cfg.Cache == "" {
			cfg.Cache = dir
		}
		f, err := New(cfg)
		if err == nil {
			f.Close()
			t.Errorf("%+v: no error", cfg)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}

// Rule: a name stays below the repository's top, whoever asks.
func TestBadNames(t *testing.T) {
	s := newShelf(t)
	f := fetcher(t, s.URL)
	for _, name := range []string{"", "/", "/etc/passwd", "../up", "a/../b", "a//b", "a/", "./a", "a?b", "a#b", "a%2e", "a b", "http://x", "a\x00", "a\n", strings.Repeat("a", 600)} {
		if _, err := f.Get(name, 100, ""); err == nil {
			t.Errorf("Get(%q): no error", name)
		}
		if _, err := f.Prepare(pipe.Want{Name: name, SHA256: hashN("1")}); err == nil {
			t.Errorf("Prepare(%q): no error", name)
		}
	}
	if n := s.count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// Rule: what the repository has comes, by a client that says who it is.
func TestGet(t *testing.T) {
	s := newShelf(t)
	s.put("top/metadata/1.root.json", []byte(`{"a":1}`))
	f := fetcher(t, s.URL+"/top")
	got, err := f.Get("metadata/1.root.json", 7, "")
	if err != nil || string(got) != `{"a":1}` {
		t.Fatalf("%q, %v", got, err)
	}
	if agent := s.asked[0].UserAgent(); agent != "portward/1.2.3" {
		t.Errorf("user agent %q", agent)
	}
	_, err = f.Get("metadata/1.root.json", 7, hashOf(got))
	wantErr(t, err, pipe.ErrSame)
}

// Rule: each answer becomes the error that the caller can do something with, and
// what another try cannot mend is asked for once.
func TestStatus(t *testing.T) {
	for code, c := range map[int]struct {
		err error
		n   int
	}{
		400: {pipe.ErrOffline, 1},
		401: {pipe.ErrOffline, 1},
		403: {pipe.ErrNotFound, 1},
		404: {pipe.ErrNotFound, 1},
		410: {pipe.ErrNotFound, 1},
		206: {pipe.ErrOffline, 1},
		304: {pipe.ErrOffline, 1},
		416: {pipe.ErrOffline, 1},
		204: {pipe.ErrOffline, 1},
		302: {pipe.ErrOffline, 0}, // without a Location
		408: {pipe.ErrOffline, 3},
		429: {pipe.ErrOffline, 3},
		500: {pipe.ErrOffline, 3},
		503: {pipe.ErrOffline, 3},
		511: {pipe.ErrOffline, 1},
	} {
		s := newShelf(t)
		s.setTrick(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true })
		f := fetcher(t, s.URL)
		_, err := f.Get("metadata/2.root.json", 100, "")
		if !errors.Is(err, c.err) {
			t.Errorf("%d: %v instead of %v", code, err, c.err)
		}
		if n := s.count(""); c.n > 0 && n != c.n {
			t.Errorf("%d: %d requests instead of %d", code, n, c.n)
		}
	}
}

// Rule: what passes is tried again.
func TestTriesAgain(t *testing.T) {
	for name, bad := range map[string]func(w http.ResponseWriter){
		"503":     func(w http.ResponseWriter) { w.Header().Set("Retry-After", "0"); w.WriteHeader(503) },
		"hang up": func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"short": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "{")
			panic(http.ErrAbortHandler)
		},
	} {
		s := newShelf(t)
		s.put("x", []byte("{}"))
		n := 0
		s.setTrick(func(w http.ResponseWriter, _ *http.Request) bool {
			if n++; n < 3 {
				bad(w)
				return true
			}
			return false
		})
		if got, err := fetcher(t, s.URL).Get("x", 100, ""); err != nil || string(got) != "{}" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// Rule: nobody there is told as such.
func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = fetcher(t, "http://"+l.Addr().String()).Get("x", 100, "")
	wantErr(t, err, pipe.ErrOffline)
	wantText(t, err, "refused")
}

// Rule: a server that wants to be left alone is, by the next process too; but
// not for ever, whatever it said and whatever the clock was.
func TestRetryAfter(t *testing.T) {
	for name, text := range map[string]string{
		"seconds": "1800",
		"date":    time.Now().Add(30 * time.Minute).UTC().Format(http.TimeFormat),
		"years":   "999999999",
	} {
		s, dir := newShelf(t), t.TempDir()
		s.setTrick(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		_, err := fetcher(t, s.URL, in(dir)).Get("x", 100, "")
		wantErr(t, err, pipe.ErrOffline)
		_, err = fetcher(t, s.URL, in(dir)).Get("x", 100, "")
		wantErr(t, err, pipe.ErrOffline)
		wantText(t, err, "left alone until")
		if n := s.count(""); n != 1 {
			t.Errorf("%s: %d requests", name, n)
		}
		s.setTrick(nil)
		for _, hold := range []time.Duration{-time.Second, 2 * time.Hour, 9e6 * time.Minute} {
			write(t, dir, holdName, []byte(time.Now().Add(hold).UTC().Format(time.RFC3339)))
			_, err = fetcher(t, s.URL, in(dir)).Get("x", 100, "")
			wantErr(t, err, pipe.ErrNotFound)
		}
	}
}

// Rule: endless data ends: no more is read than was allowed, and a little.
func TestEndlessData(t *testing.T) {
	s := newShelf(t)
	ended := make(chan struct{})
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		defer close(ended)
		for chunk := bytes.Repeat([]byte("{"), 1<<16); ; {
			if _, err := w.Write(chunk); err != nil {
				return true
			}
		}
	})
	_, err := fetcher(t, s.URL).Get("metadata/timestamp.json", 1000, "")
	wantErr(t, err, pipe.ErrCorrupt)
	<-ended
}

// Rule: a head without end is refused.
func TestEndlessHead(t *testing.T) {
	s := newShelf(t)
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X", strings.Repeat("x", 1<<20))
		return false
	})
	_, err := fetcher(t, s.URL).Get("x", 1000, "")
	wantErr(t, err, pipe.ErrOffline)
}

// Rule: a captive portal's page is no metadata and no attack; people are told,
// however long it is.
func TestCaptivePortal(t *testing.T) {
	s := newShelf(t)
	s.setTrick(page)
	f := fetcher(t, s.URL)
	for _, name := range []string{"metadata/timestamp.json", "metadata/2.root.json"} {
		for _, most := range []int64{10, 10_000} {
			_, err := f.Get(name, most, "")
			wantErr(t, err, pipe.ErrOffline)
			wantText(t, err, "captive portal")
		}
	}
	_, err := f.Prepare(pipe.Want{Name: "d", SHA256: hashN("1"), Size: 100})
	wantErr(t, err, pipe.ErrOffline)
	if n := s.count(""); n != 5 {
		t.Errorf("%d requests", n)
	}
}

// Rule: a redirect is followed a few times, and never to where a repository may
// not be.
func TestRedirects(t *testing.T) {
	s := newShelf(t)
	s.put("there", []byte("{}"))
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		to := map[string]string{
			"/here": "/there", "/loop": "/loop", "/plain": "http://example.org/", "/file": "file:///etc/passwd",
			"/none": "http:///", "/secret": "http://secret.example.org/" + strings.Repeat("a", 5000),
		}[r.URL.Path]
		if to == "" {
			return false
		}
		http.Redirect(w, r, to, http.StatusFound)
		return true
	})
	f := fetcher(t, s.URL)
	if got, err := f.Get("here", 100, ""); err != nil || string(got) != "{}" {
		t.Errorf("%q, %v", got, err)
	}
	s.count("")
	for name, most := range map[string]int{"loop": maxRedirects + 1, "plain": 1, "file": 1, "none": 1, "secret": 1} {
		_, err := f.Get(name, 100, "")
		wantErr(t, err, pipe.ErrOffline)
		if n := s.count(""); n > most {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

// Rule: from TLS there is no way back to plain HTTP, not even on this machine.
func TestDowngrade(t *testing.T) {
	plain := newShelf(t)
	plain.put("x", []byte("{}"))
	tls := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/x", http.StatusFound))
	defer tls.Close()
	_, err := fetcher(t, tls.URL, trusting(t, tls)).Get("x", 100, "")
	wantErr(t, err, pipe.ErrOffline)
	wantText(t, err, "from https to http")
	if n := plain.count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func trusting(t *testing.T, s *httptest.Server) func(*Config, *limits) {
	return func(c *Config, _ *limits) {
		c.CA = write(t, t.TempDir(), "ca.pem", pemOf(s.Certificate().Raw))
	}
}

// Rule: a certificate of a stranger ends it, at once, and only ours count.
func TestStrangersCertificate(t *testing.T) {
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = quiet()
	connections := 0
	tls.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections++
		}
	}
	tls.StartTLS()
	_, err := fetcher(t, tls.URL).Get("x", 100, "")
	wantErr(t, err, pipe.ErrOffline)
	wantText(t, err, "certificate")
	_, err = fetcher(t, tls.URL, trusting(t, tls)).Get("x", 100, "")
	wantErr(t, err, pipe.ErrNotFound)
	tls.Close()
	if connections != 2 {
		t.Errorf("%d connections", connections)
	}
}

// Rule: a proxy is used when it is configured, and told of when it refuses.
func TestProxy(t *testing.T) {
	tls := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
	defer tls.Close()
	code, asked := 200, 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if code != 200 {
			w.WriteHeader(code)
			return
		}
		tunnel(w, r)
	}))
	defer proxy.Close()
	through := func(c *Config, _ *limits) { c.Proxy = strings.Replace(proxy.URL, "http://", "http://me:secret@", 1) }
	f := fetcher(t, tls.URL, trusting(t, tls), through)
	if got, err := f.Get("x", 100, ""); err != nil || string(got) != "{}" || asked != 1 {
		t.Errorf("%q, %v, %d questions", got, err, asked)
	}
	f.client.CloseIdleConnections()
	for c, tries := range map[int]int{403: 1, 407: 1, 502: 3} {
		code, asked = c, 0
		_, err := f.Get("x", 100, "")
		wantErr(t, err, pipe.ErrOffline)
		wantText(t, err, fmt.Sprintf("proxy %s answered %d", proxy.Listener.Addr(), c))
		if strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
		if asked != tries {
			t.Errorf("%d: %d tries", c, asked)
		}
	}
}

func tunnel(w http.ResponseWriter, r *http.Request) {
	there, err := net.Dial("tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, read, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		io.Copy(there, read)
		there.Close()
	}()
	io.Copy(here, there)
}

// Rule: a server that dribbles is left, with its head or its body.
func TestSlowLoris(t *testing.T) {
	s := newShelf(t)
	for name, trick := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"head": func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
		"body": func(w http.ResponseWriter, r *http.Request) bool {
			io.WriteString(w, "{")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return true
		},
	} {
		s.setTrick(trick)
		f := fetcher(t, s.URL, limited(func(l *limits) {
			l.tries, l.window, l.least, l.header = 1, 30*time.Millisecond, 1000, 30*time.Millisecond
		}))
		if _, err := f.Get("x", 1<<20, ""); !errors.Is(err, pipe.ErrOffline) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		for r.Context().Err() == nil {
			io.WriteString(w, "{")
			http.NewResponseController(w).Flush()
		}
		return true
	})
	f := fetcher(t, s.URL, limited(func(l *limits) { l.tries, l.small = 1, 30*time.Millisecond }))
	_, err := f.Get("x", pipe.MaxGet, "")
	wantErr(t, err, pipe.ErrOffline)
}

// Rule: when nobody waits any more nothing goes on: neither a transfer nor a
// pause between two.
func TestCancelled(t *testing.T) {
	s := newShelf(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		cancel()
		w.Header().Set("Retry-After", "1000")
		w.WriteHeader(503)
		return true
	})
	f := fetcher(t, s.URL, limited(func(l *limits) { l.patience = time.Hour }))
	f.ctx = ctx
	_, err := f.Get("x", 100, "")
	wantErr(t, err, context.Canceled)
	f.ctx, cancel = context.WithCancel(t.Context())
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	_, err = f.Get("x", 100, "")
	wantErr(t, err, context.Canceled)
}

// Rule: an unchanged timestamp costs one request without a body, in the next
// process too; but only if what was seen last is what the caller holds.
func TestTimestamp(t *testing.T) {
	s, dir := newShelf(t), t.TempDir()
	one, two := []byte(`{"v":1}`), []byte(`{"v":2}`)
	s.put(timestampName, one)
	get := func(have string) ([]byte, error) {
		return fetcher(t, s.URL, in(dir)).Get(timestampName, 100, have)
	}
	conditional := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.asked[len(s.asked)-1].Header.Get("If-None-Match") != ""
	}
	if got, err := get(""); err != nil || !bytes.Equal(got, one) || conditional() {
		t.Fatalf("%q, %v", got, err)
	}
	s.took()
	_, err := get(hashOf(one))
	wantErr(t, err, pipe.ErrSame)
	if !conditional() || s.took() != 0 || s.count("") != 2 {
		t.Error("it was not one conditional request")
	}
	if got, err := get(hashN("0")); err != nil || !bytes.Equal(got, one) || conditional() {
		t.Fatalf("%q, %v", got, err)
	}
	s.put(timestampName, two)
	if got, err := get(hashOf(one)); err != nil || !bytes.Equal(got, two) {
		t.Fatalf("%q, %v", got, err)
	}
	_, err = get(hashOf(two))
	wantErr(t, err, pipe.ErrSame)
	if !conditional() {
		t.Error("the new state was forgotten")
	}
}

// Rule: an ETag of the very second in which the file was made is not relied on:
// the next state may have the same.
func TestYoungETag(t *testing.T) {
	for name, c := range map[string]struct {
		age  time.Duration
		once bool
	}{"young": {0, false}, "from the future": {-time.Hour, false}, "a second": {time.Second, false}, "old": {3 * time.Second, true}} {
		s := newShelf(t)
		s.put(timestampName, []byte(`{"v":1}`))
		now := time.Now()
		s.setTrick(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
			w.Header().Set("Last-Modified", now.Add(-c.age).UTC().Format(http.TimeFormat))
			return false
		})
		f := fetcher(t, s.URL)
		body, err := f.Get(timestampName, 100, "")
		if err != nil {
			t.Fatal(err)
		}
		s.put(timestampName, []byte(`{"v":2}`))
		_, err = f.Get(timestampName, 100, hashOf(body))
		if same := errors.Is(err, pipe.ErrSame); same != c.once {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rule: only what can stand in a request is taken for an ETag, and only one
// without W/ for that of very bytes.
func TestETags(t *testing.T) {
	for text, strong := range map[string]bool{`"a"`: true, `""`: true, `W/"a"`: false} {
		if !isETag(text) || isStrong(text) != strong {
			t.Errorf("%s", text)
		}
	}
	for _, text := range []string{"", `"`, "a", `W/`, `W/"`, `"a`, `a"`, "\"a\nb\"", "\"\x00\"", `"a"b"`, `"é"`, `w/"a"`, `"` + strings.Repeat("a", 300) + `"`} {
		if isETag(text) || isStrong(text) {
			t.Errorf("%q", text)
		}
	}
}

// Rule: a server without ETags, or that never answers 304, is understood.
func TestTimestampWithoutETag(t *testing.T) {
	s := newShelf(t)
	body := []byte(`{"v":1}`)
	s.setTrick(func(w http.ResponseWriter, _ *http.Request) bool { w.Write(body); return true })
	f := fetcher(t, s.URL)
	for range 2 {
		_, err := f.Get(timestampName, 100, hashOf(body))
		wantErr(t, err, pipe.ErrSame)
	}
}

// Rule: whatever lies in the cache, what was spoilt is asked for again, and a
// repository is not asked with another's ETag.
func TestSpoiltTimestamp(t *testing.T) {
	s, dir := newShelf(t), t.TempDir()
	body := []byte(`{"v":1}`)
	s.put(timestampName, body)
	for name, spoil := range map[string]func(){
		"empty": func() { write(t, dir, timestampFile, nil) },
		"torn":  func() { write(t, dir, timestampFile, []byte(`{"url":"`)) },
		"other": func() { write(t, dir, timestampFile, []byte(`{"url":"https://other/","etag":"\"a\"","body":"eA=="}`)) },
		"directory": func() {
			os.Remove(filepath.Join(dir, timestampFile))
			os.Mkdir(filepath.Join(dir, timestampFile), 0o700)
		},
		"tickets": func() { write(t, dir, ticketsFile, []byte(`{"a":null,"b":{"ticket":"eA==","state":"eA=="}}`)) },
		"null":    func() { write(t, dir, ticketsFile, []byte(`null`)) },
	} {
		spoil()
		_, err := fetcher(t, s.URL, in(dir)).Get(timestampName, 100, hashOf(body))
		wantErr(t, err, pipe.ErrSame)
		spoil()
		f := fetcher(t, s.URL, in(dir))
		if got, err := f.Get(timestampName, 100, ""); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_, err = f.Get(timestampName, 100, hashOf(body))
		wantErr(t, err, pipe.ErrSame)
		os.RemoveAll(filepath.Join(dir, timestampFile))
	}
}
