package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"portward/internal/config"
	"portward/internal/program"
	"portward/internal/update/fetch"
	"portward/internal/update/tufrepo"
)

// A badValue is what a flag says that no later time makes right.
type badValue struct{ error }

func (b badValue) Unwrap() error { return b.error }

// check looks at what the flags name, the network apart, before anything is made
// of it.
func (w *world) check() error {
	scratch := filepath.Join(w.o.root, "build")
	err := w.checkSettings(filepath.Join(scratch, "settings"))
	if err == nil && w.o.repo != "" {
		err = w.checkRepo(scratch)
	}
	if err != nil {
		return badValue{err}
	}
	w.viewer, err = viewerAddr(w.o.listen, w.show.say)
	return err
}

// checkSettings has the configuration read as the supervisor will read it.
func (w *world) checkSettings(scratch string) error {
	cfg, err := w.settings()
	if err != nil {
		return err
	}
	b, err := cfg.Marshal()
	if err != nil {
		return err
	}
	path := config.Path(scratch)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	_, err = config.Load(scratch)
	if unwrapped := errors.Unwrap(err); unwrapped != nil {
		err = unwrapped // it names a file that nobody knows
	}
	return err
}

// checkRepo has a fetcher and the rules begin with what they are given.
func (w *world) checkRepo(scratch string) error {
	f, err := fetch.New(fetch.Config{Repo: w.o.repo, CA: w.o.ca, Proxy: w.o.proxy, Cache: filepath.Join(scratch, "cache"), Version: program.Build()})
	if err != nil {
		return err
	}
	f.Close()
	if w.o.trust == "" {
		return nil
	}
	root, err := os.ReadFile(w.o.trust)
	if err == nil {
		_, err = tufrepo.OpenAny(filepath.Join(scratch, "trust"), program.Built(), root)
	}
	if err != nil {
		return fmt.Errorf("--trust: %w\nhint: it names a repository's metadata/1.root.json", err)
	}
	return nil
}

// settings is what the flags make of the configuration.
func (w *world) settings() (config.Config, error) {
	o, cfg := w.o, config.Default()
	cfg.Idle = config.Duration(o.idle)
	if o.healthy > 0 {
		cfg.Healthy = config.Duration(o.healthy)
	}
	if o.hang > 0 {
		cfg.HangLimit = config.Duration(o.hang)
	}
	proxy, err := w.proxy()
	if err != nil {
		return cfg, fmt.Errorf("the proxy: %w", err)
	}
	cfg.Update = config.Update{
		Proxy: proxy, Rate: o.limit,
		Repo: o.repo, Channel: cmp.Or(o.channel, cfg.Update.Channel),
		Every: config.Duration(o.checkEvery), TrialWindow: config.Duration(o.trialWindow),
		MaxLease: cfg.Update.MaxLease, FetchUID: w.people.fetch, ProbeUID: w.people.probe,
	}
	return cfg, nil
}

// checkAddress refuses what is no web address: a directory is what most people
// have in mind who say something else.
func checkAddress(repo string) error {
	u, err := url.Parse(repo)
	if err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		return nil
	}
	hint := "--repo https://HOST/PATH"
	if fi, err := os.Stat(strings.TrimPrefix(repo, "file://")); err == nil && fi.IsDir() {
		hint = "serve the directory first: python3 -m http.server --bind 127.0.0.1 8000 -d " + repo + "\nhint: then --repo http://127.0.0.1:8000"
	}
	return fmt.Errorf("--repo takes an address, not %q\nhint: %s", repo, hint)
}

// viewerAddr makes sure of the viewer's port before anything is started. The
// port is let go at once, not when the engine takes it: a job that is being
// started meanwhile would hold it, too, between its fork and its exec.
func viewerAddr(addr string, say func(string, ...any)) (string, error) {
	asked := addr
	if asked == "" {
		asked = "127.0.0.1:8443"
	}
	l, err := net.Listen("tcp4", asked) // as the plist's SockFamily says
	if err != nil && addr == "" {
		say("%s is taken; the viewer gets another port", asked)
		l, err = net.Listen("tcp4", "127.0.0.1:0")
	}
	if err != nil {
		taken := errors.Is(err, syscall.EADDRINUSE)
		err = fmt.Errorf("the viewer's port: %w\nhint: --listen 127.0.0.1:0 takes any free one", err)
		if !taken {
			err = badValue{err}
		}
		return "", err
	}
	return l.Addr().String(), l.Close()
}
