package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// programs are what a bundle holds. The tool for people is one of them, since
// the supervisor fetches with it.
var programs = []string{"supervisor", "netchild", "guiagent", "portward"}

// findPrograms answers where the bundle's programs are: beside this one if
// they are all there, else built from this module's source into dir.
func findPrograms(ctx context.Context, dir string, progress func(string, ...any)) (map[string]string, error) {
	if self, err := os.Executable(); err == nil {
		if m, ok := beside(filepath.Dir(self)); ok {
			return m, nil
		}
	}
	return build(ctx, dir, progress)
}

func beside(dir string) (map[string]string, bool) {
	m := map[string]string{}
	for _, name := range programs {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() {
			return nil, false
		}
		m[name] = path
	}
	return m, true
}

// source answers where this module's source is, or what is missing to build it. What
// Go says of its absence is about Go.
func source(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", errors.New("there is no Go here to build them")
	}
	out, err := runBound(ctx, "", os.Environ(), "go", "list", "-m", "-f", "{{.Dir}}", "portward")
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	src := strings.TrimSpace(string(out))
	if err != nil || !filepath.IsAbs(src) {
		return "", errors.New("this is no clone of portward to build them from")
	}
	return src, nil
}

// build compiles the programs for this machine, one line of progress each.
func build(ctx context.Context, dir string, progress func(string, ...any)) (map[string]string, error) {
	src, err := source(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("the programs are not beside this one, and %w\nhint: keep %s in one directory, or run this in a clone, with Go", err, strings.Join(programs, ", "))
	}
	c := compiler{src: src, dir: dir, strip: hostKind().strip(), progress: progress}
	return c.compile(ctx, programs)
}

// A compiler builds programs for one system and processor.
type compiler struct {
	src, dir string
	where    string   // how people call that; empty: this machine
	env      []string // GOOS and GOARCH
	strip    string   // flags of the linker
	progress func(string, ...any)
}

func (c *compiler) compile(ctx context.Context, names []string) (map[string]string, error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	m := map[string]string{}
	for i, name := range names {
		what := name
		if c.where != "" {
			what += " for " + c.where
		}
		c.progress("building %s (%d of %d)", what, i+1, len(names))
		began := time.Now()
		m[name] = filepath.Join(c.dir, name)
		env := append(append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+c.dir), c.env...)
		out, err := runBound(ctx, c.src, env, "go", "build", "-trimpath", "-ldflags="+c.strip, "-o", m[name], "./cmd/"+name)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("building %s: %w\n%s", what, err, out)
		}
		c.progress("built %s in %v", what, time.Since(began).Round(100*time.Millisecond))
	}
	return m, nil
}
