// Package fetch knows how a repository's files come over HTTP: what resumes,
// what a patch saves, and what a hostile or broken network does. It must never
// know what a release means, hold a key, or be believed: it runs without
// privileges, writes nothing but its cache, and whoever asked compares every
// byte with what was signed.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"portward/internal/update/pipe"
)

// A Config is what a fetcher needs to know.
type Config struct {
	Repo    string                           // https URL of the repository's top; http for this machine's own addresses only
	CA      string                           // a PEM file with the only authorities that are trusted; empty: the system's
	Proxy   string                           // URL; empty: as the environment says
	Cache   string                           // a directory of the fetcher's own; Main has it for itself
	Live    string                           // the installed bundle, which Main may read for deltas; may be empty
	Rate    int64                            // bytes per second at most; 0 is no limit
	Version string                           // of the product, for the User-Agent
	Free    func(dir string) (uint64, error) // what may be written yet to the disk of dir; nil: it is written until it is full
	Log     func(format string, args ...any)
}

// A Fetcher is a pipe.Server over HTTP. It is used from one goroutine.
type Fetcher struct {
	ctx     context.Context // ends what is under way: pipe.Server has none
	repo    *url.URL
	agent   string
	client  *http.Client
	cache   *cache
	tickets *tickets
	rate    *rate.Limiter
	lim     limits
	log     func(format string, args ...any)
	free    func(dir string) (uint64, error) // or nil
	live    string
	jobs    map[string]*job  // by the content's hash: what was prepared
	came    map[string]int64 // of each stored file, since then
}

// limits are how long the network may take for what.
type limits struct {
	connect  time.Duration // a connection, and again its TLS
	header   time.Duration // an answer's head
	small    time.Duration // a small file, from head to end
	window   time.Duration // in each of which at least so many bytes must come:
	least    int64
	tries    int           // without progress
	backoff  time.Duration // before the second try; it doubles, and half of it is chance
	patience time.Duration // the longest that a try is put off; beyond, the caller is told
	hold     time.Duration // the longest that a server can have us wait
}

func defaultLimits(rate int64) limits {
	l := limits{
		connect: 15 * time.Second, header: 30 * time.Second, small: 5 * time.Minute,
		window: time.Minute, least: 60 << 10,
		tries: 5, backoff: 500 * time.Millisecond, patience: 30 * time.Second, hold: time.Hour,
	}
	if rate > 0 {
		l.least = min(l.least, rate*int64(l.window/time.Second)/2)
	}
	return l
}

// New answers a fetcher. It reads what it will need of the system, the cache
// apart, so that it can do without later.
func New(cfg Config) (*Fetcher, error) {
	return newFetcher(cfg, defaultLimits(cfg.Rate))
}

func newFetcher(cfg Config, lim limits) (*Fetcher, error) {
	repo, err := parseRepo(cfg.Repo)
	if err != nil {
		return nil, fmt.Errorf("repository: %w", err)
	}
	c, err := openCache(cfg.Cache)
	if err != nil {
		return nil, err
	}
	f := &Fetcher{
		ctx: context.Background(), repo: repo, agent: "portward/" + cfg.Version,
		cache: c, tickets: openTickets(c), lim: lim, log: cfg.Log,
		free: cfg.Free, live: cfg.Live, jobs: map[string]*job{}, came: map[string]int64{},
	}
	if f.log == nil {
		f.log = func(string, ...any) {}
	}
	if cfg.Rate > 0 {
		f.rate = rate.NewLimiter(rate.Limit(cfg.Rate), int(min(max(cfg.Rate/4, 1), chunk)))
	}
	transport, err := f.transport(cfg)
	if err != nil {
		c.close()
		return nil, err
	}
	f.client = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return f, nil
}

// Close lets go of connections and the cache.
func (f *Fetcher) Close() error {
	f.client.CloseIdleConnections()
	return f.cache.close()
}

func (f *Fetcher) transport(cfg Config) (*http.Transport, error) {
	pool, err := authorities(cfg.CA)
	if err != nil {
		return nil, err
	}
	proxy, err := proxyOf(cfg.Proxy)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	dial := net.Dialer{Timeout: f.lim.connect}
	if cfg.Rate > 0 {
		dial.Control = receiveBuffer(cfg.Rate)
	}
	// HTTP/2 would cost its settings at each check and gain nothing: one thing
	// is asked at a time.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  proxy,
		OnProxyConnectResponse: checkProxy,
		DialContext:            dial.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, ClientSessionCache: f.tickets},
		TLSHandshakeTimeout:    f.lim.connect,
		ResponseHeaderTimeout:  f.lim.header,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		IdleConnTimeout:        90 * time.Second,
		Protocols:              protocols,
	}, nil
}

// receiveBuffer is for a connection that is read slowly on purpose: what waits
// in the kernel was transferred, and is lost when this process is killed.
func receiveBuffer(rate int64) func(_, _ string, c syscall.RawConn) error {
	size := int(min(max(rate/4, 8<<10), 1<<20))
	return func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, size) }); e != nil {
			return e
		}
		return err
	}
}

// authorities answers who is trusted; they are read now.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return x509.SystemCertPool()
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}

func proxyOf(text string) (func(*http.Request) (*url.URL, error), error) {
	if text == "" {
		return http.ProxyFromEnvironment, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL") // which would be quoted, with its password
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, fmt.Errorf("scheme %q", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, errors.New("no host")
	}
	return http.ProxyURL(u), nil
}

// parseRepo answers the repository's top. Credentials have no place in an
// address that is shown and logged.
func parseRepo(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if err := checkURL(u); err != nil {
		return nil, err
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("only host and path may be in it")
	}
	return u, nil
}

// checkURL: TLS, or a host that is this machine by its very name.
func checkURL(u *url.URL) error {
	switch {
	case u.Hostname() == "":
		return errors.New("no host")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%s://%s: only https is taken, and http from this machine itself", u.Scheme, u.Host)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkName: a name is a path below the repository's top.
func checkName(name string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/"
	if name == "" || len(name) > 512 || path.Clean("/"+name) != "/"+name || strings.Trim(name, allowed) != "" {
		return fmt.Errorf("no name of a file in a repository: %q", clip(name))
	}
	return nil
}

// Get implements pipe.Server. A web page is not taken for an answer.
func (f *Fetcher) Get(name string, max int64, have string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	max = min(max, pipe.MaxGet)
	if name == timestampName {
		return f.timestamp(max, have)
	}
	a, err := f.small(name, max, small{})
	if err == nil && hashOf(a.body) == have {
		err = pipe.ErrSame
	}
	return a.body, err
}
