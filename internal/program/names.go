package program

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"portward/internal/bundle"
	"portward/internal/jobs"
	"portward/launchd"
)

// NamesVariable is in the environment of jobs whose labels and services have a
// suffix, so that they meet no others of the product: those of a demonstration,
// in a launchd that may have the installed ones too.
const NamesVariable = "PORTWARD_NAMES"

func checkSuffix(s string) error {
	alien := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-.", r)
	}
	if s != "" && (s[0] != '.' || len(s) < 2 || len(s) > 40 || strings.ContainsFunc(strings.ToLower(s), alien)) {
		return fmt.Errorf("%s is %q, want a dot and at most 39 letters, digits, dots and hyphens", NamesVariable, s)
	}
	return nil
}

// Name is what a label or a service of the product is called here.
func (p *Program) Name(plain string) string { return plain + p.suffix }

// JobsDir is where jobs' property lists lie that have names of their own. They
// were written for one launchd, which replaces nothing in them.
func JobsDir(root string) string { return filepath.Join(root, "jobs") }

// Plist is the file of a daemon of the product.
func (p *Program) Plist(t jobs.Target) string { return p.plistNamed(p.Name(t.Label())) }

func (p *Program) plistNamed(label string) string {
	dir := bundle.Layout(BundleDir(p.Root)).LaunchDaemons()
	if p.suffix != "" {
		dir = JobsDir(p.Root)
	}
	return filepath.Join(dir, label+".plist")
}

// environ is what a child of this program is told of where it is.
func (p *Program) environ() []string {
	env := []string{launchd.RootVariable + "=" + p.Root}
	if p.suffix != "" {
		env = append(env, NamesVariable+"="+p.suffix)
	}
	return env
}

// plain answers e, under the product's plain names.
func (p *Program) plain(e jobs.Engine) jobs.Engine {
	if p.suffix == "" || e == nil {
		return e
	}
	return Plain(e, p.suffix)
}

// Plain answers an engine for those who speak of jobs by the product's plain names,
// though e's targets have a suffix. Files have their own names: Bootstrap is e's.
func Plain(e jobs.Engine, suffix string) jobs.Engine { return suffixed{e, suffix} }

// A suffixed engine's targets have a suffix of which who uses it knows nothing.
type suffixed struct {
	jobs.Engine
	suffix string
}

func (s suffixed) there(t jobs.Target) jobs.Target { return t + jobs.Target(s.suffix) }

func (s suffixed) here(t jobs.Target) jobs.Target {
	return jobs.Target(strings.TrimSuffix(string(t), s.suffix))
}

func (s suffixed) state(st jobs.State) jobs.State {
	st.Target = s.here(st.Target)
	return st
}

// Bootout is Engine's.
func (s suffixed) Bootout(ctx context.Context, t jobs.Target) error {
	return s.Engine.Bootout(ctx, s.there(t))
}

// Kickstart is Engine's.
func (s suffixed) Kickstart(ctx context.Context, t jobs.Target, kill bool) error {
	return s.Engine.Kickstart(ctx, s.there(t), kill)
}

// Hold is Engine's.
func (s suffixed) Hold(ctx context.Context, t jobs.Target, until time.Time) error {
	return s.Engine.Hold(ctx, s.there(t), until)
}

// State is Engine's.
func (s suffixed) State(ctx context.Context, t jobs.Target) (jobs.State, error) {
	st, err := s.Engine.State(ctx, s.there(t))
	return s.state(st), err
}

// List is Engine's.
func (s suffixed) List(ctx context.Context) ([]jobs.State, error) {
	list, err := s.Engine.List(ctx)
	list = slices.Clone(list) // the engine's own, it may be
	for i := range list {
		list[i] = s.state(list[i])
	}
	return list, err
}

// Watch is Engine's.
func (s suffixed) Watch(ctx context.Context) (<-chan jobs.Event, error) {
	in, err := s.Engine.Watch(ctx)
	if err != nil {
		return nil, err
	}
	out := make(chan jobs.Event, jobs.WatchQueue)
	go func() {
		defer close(out)
		for ev := range in { // closed when ctx ends, or after an Overflow
			ev.Target = s.here(ev.Target)
			select {
			case out <- ev:
			case <-ctx.Done():
			}
		}
	}()
	return out, nil
}
