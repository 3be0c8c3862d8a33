package viewer

import (
	"context"
	"embed"
	"net/http"
	"strings"
	"time"

	"portward/internal/hub"
)

// Bounds of a viewer.
const (
	maxStrangers = 16 // sockets that have not proven the token yet
	maxSeats     = 64 // viewers at once
)

// patiences are how long a viewer is waited for.
type patiences struct {
	hello time.Duration // from the open socket to the token
	write time.Duration // pieceBytes of a message to be taken
	ping  time.Duration // between pings, and for the answer beside a write
}

// Hub is what a viewer needs of *hub.Hub.
type Hub interface {
	Subscribe(ctx context.Context, v hub.Viewer) (*hub.Subscription, error)
}

// Config says what is shown to whom.
type Config struct {
	Hub     Hub
	Token   string    // whoever knows it sees everything; empty: nobody does
	Life    uint64    // of this netchild
	Started time.Time // of this life
	Hosts   []string  // host:port names under which the page may be asked for
	Log     func(format string, args ...any)
}

// Address is what a person opens: the page with the token in the fragment,
// which no browser sends to a server.
func Address(host, token string) string { return "https://" + host + "/#" + token }

type server struct {
	cfg       Config
	hosts     map[string]bool
	strangers chan struct{} // filled by sockets without a proven token
	seats     chan struct{} // filled by viewers
	patience  patiences
	version   int // of the protocol
}

// New answers the handler of "/" and "/ws". It must be served over TLS. A
// viewer's connection lives as long as its request's context: an http.Server
// whose BaseContext ends lets its viewers go.
func New(cfg Config) http.Handler { return newServer(cfg) }

func newServer(cfg Config) *server {
	if cfg.Log == nil {
		cfg.Log = func(string, ...any) {}
	}
	s := &server{
		cfg:       cfg,
		hosts:     make(map[string]bool),
		strangers: make(chan struct{}, maxStrangers),
		seats:     make(chan struct{}, maxSeats),
		patience:  patiences{hello: 5 * time.Second, write: 20 * time.Second, ping: 10 * time.Second},
		version:   protocolVersion,
	}
	for _, h := range cfg.Hosts {
		s.hosts[strings.ToLower(h)] = true
	}
	return s
}

//go:embed page
var files embed.FS

// A document is one file of the page.
type document struct{ name, mime string }

func find(path string) (document, bool) {
	switch path {
	case "/":
		return document{"page/index.html", "text/html; charset=utf-8"}, true
	case "/style.css":
		return document{"page/style.css", "text/css; charset=utf-8"}, true
	case "/app.js", "/lives.js", "/rate.js", "/screen.js", "/update.js":
		return document{"page" + path, "text/javascript; charset=utf-8"}, true
	}
	return document{}, false
}

// ServeHTTP checks the Host first: a page of a stranger whose name was made to
// resolve to this machine (DNS rebinding) sends its own.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header(), "")
	if !s.hosts[strings.ToLower(r.Host)] {
		http.Error(w, "this address does not serve that host", http.StatusMisdirectedRequest)
		return
	}
	if r.URL.Path == "/ws" {
		s.socket(w, r)
		return
	}
	d, ok := find(r.URL.Path)
	switch {
	case !ok:
		http.Error(w, "no such page", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
	default:
		s.document(w, r, d)
	}
}

func (s *server) document(w http.ResponseWriter, r *http.Request, d document) {
	data, err := files.ReadFile(d.name)
	if err != nil {
		http.Error(w, "no such page", http.StatusNotFound)
		return
	}
	protect(w.Header(), r.Host)
	w.Header().Set("Content-Type", d.mime)
	if r.Method == http.MethodGet {
		_, _ = w.Write(data)
	}
}

// protect sets the headers that every answer has. host, once it was checked, is
// named as the only one the page may connect to: not every browser counts wss:
// as 'self' (CSP Level 3 does).
func protect(h http.Header, host string) {
	policy := "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if host != "" {
		policy += "; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' wss://" + host
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
