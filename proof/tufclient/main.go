// Command tufclient is the updater's metadata client behind the command line of
// the public TUF conformance suite (theupdateframework/tuf-conformance,
// CLIENT-CLI): init, refresh, download. It must never be part of the product:
// it speaks plain HTTP and believes FAKETIME.
//
// The suite is run by hand from a copy of its own:
//
//	go build -o /tmp/tufclient ./tufclient
//	pytest tuf_conformance --entrypoint /tmp/tufclient
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"portward/internal/update/pipe"
	"portward/internal/update/tufrepo"
)

// A client is one command line.
type client struct {
	dir       string // where the suite looks for metadata
	metadata  string // URL
	targets   string // URL
	targetDir string
	names     []string
}

func main() {
	c := client{}
	flag.StringVar(&c.dir, "metadata-dir", "", "")
	flag.StringVar(&c.metadata, "metadata-url", "", "")
	flag.StringVar(&c.targets, "target-base-url", "", "")
	flag.StringVar(&c.targetDir, "target-dir", "", "")
	flag.Func("target-name", "", func(s string) error { c.names = append(c.names, s); return nil })
	flag.Parse()
	if err := c.run(flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "tufclient:", err)
		os.Exit(1)
	}
}

// trust is the store of the product's own form, out of the suite's sight.
func (c client) trust() string { return filepath.Join(c.dir, ".trust") }

func (c client) initial() string { return filepath.Join(c.trust(), "initial") }

func (c client) run(verb, arg string) error {
	switch verb {
	case "init":
		return c.init(arg)
	case "refresh", "download":
	default:
		return fmt.Errorf("no verb %q", verb)
	}
	initial, err := os.ReadFile(c.initial())
	if err != nil {
		return err
	}
	t, err := tufrepo.Open(c.trust(), initial, time.Time{})
	if err != nil {
		return err
	}
	_, err = t.Walk(now(), c.get)
	if err := errors.Join(err, c.show(t)); err != nil || verb == "refresh" {
		return err
	}
	for _, name := range c.names {
		if err := c.download(t, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (c client) init(root string) error {
	data, err := os.ReadFile(root)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(c.trust(), 0o700), os.WriteFile(c.initial(), data, 0o600), c.write("root.json", data))
}

func (c client) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(c.dir, name), data, 0o600)
}

// now is the time that the suite wants: libfaketime's variable, which a program
// without libc does not feel.
func now() time.Time {
	fake := os.Getenv("FAKETIME")
	if s, err := strconv.ParseFloat(strings.TrimPrefix(fake, "+"), 64); err == nil {
		return time.Now().Add(time.Duration(s * float64(time.Second)))
	}
	if t, err := time.Parse("@2006-01-02 15:04:05", fake); err == nil {
		return t
	}
	return time.Now()
}

// show lays what is trusted to where the suite looks.
func (c client) show(t *tufrepo.Trust) error {
	root, _ := t.Vouch()
	errs := []error{c.write("root.json", root)}
	for _, name := range []string{"timestamp.json", "snapshot.json", "targets.json"} {
		data, err := os.ReadFile(filepath.Join(c.trust(), name))
		if err == nil {
			err = c.write(name, data)
		} else if err = os.Remove(filepath.Join(c.dir, name)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c client) download(t *tufrepo.Trust, name string) error {
	found, err := t.Find(now(), name, c.get, func(role string, raw []byte) {
		c.write(url.PathEscape(role)+".json", raw)
	})
	if err != nil {
		return err
	}
	to := filepath.Join(c.targetDir, url.PathEscape(name))
	if have, err := os.ReadFile(to); err == nil && found.Check(have) == nil {
		return nil
	}
	dir, base := path.Split(name)
	data, err := fetch(c.targets, dir+found.Hashes[0]+"."+base, found.Size)
	if err == nil {
		err = found.Check(data)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

func (c client) get(name string, max int64, _ string) ([]byte, error) {
	return fetch(c.metadata, strings.TrimPrefix(name, "metadata/"), max)
}

func fetch(base, name string, max int64) ([]byte, error) {
	r, err := http.Get(strings.TrimSuffix(base, "/") + "/" + name)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	switch r.StatusCode {
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(r.Body, max+1))
	case http.StatusNotFound, http.StatusForbidden:
		return nil, pipe.ErrNotFound
	}
	return nil, errors.New(r.Status)
}
