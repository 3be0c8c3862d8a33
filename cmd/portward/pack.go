package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/program"
	"portward/launchd"
)

const packUsage = `usage: portward pack --version VERSION [flags] OUT

Makes a bundle of the product's programs and seals it: OUT/Portward.app, and
OUT/seal.json beside it. Nothing may be at OUT yet. The programs are those beside
this one, or else built from this module's source, which can be done for any target
on any machine. One for macOS is signed next: portward sign --help.

  --version VERSION  the release's, 1.2.3 or 1.2.3-rc.1; what is no such version
                     can run here, and cannot be published
  --target T         linux/amd64, linux/arm64, or darwin/universal: both kinds of
                     Mac, as releases have to be. darwin/arm64 and darwin/amd64
                     are for a Mac of one's own (default: this machine's kind)
  --from DIR         take the programs from DIR; for darwin/universal each from
                     DIR if it is universal, or from DIR/arm64 and DIR/amd64
  --minimum VERSION  peers older than this are told to relaunch
  --seed             without netchild: a first bundle, to be installed on a
                     machine that fetches the rest by itself
`

func pack(args []string) (int, error) {
	flags := toolFlags("pack")
	version := flags.String("version", "", "")
	from := flags.String("from", "", "")
	kind := flags.String("target", "", "")
	minimum := flags.String("minimum", "", "")
	seed := flags.Bool("seed", false, "")
	rest, err := parseMixed(flags, args, packUsage)
	if err != nil {
		return program.ExitUsage, err
	}
	if len(rest) != 1 || *version == "" {
		return program.ExitUsage, errors.New("pack takes --version and one place\nhint: portward pack --help")
	}
	wanted, err := parseKind(*kind)
	if err != nil {
		return program.ExitUsage, err
	}
	if *minimum != "" && !semver.IsValid("v"+*minimum) {
		return program.ExitUsage, fmt.Errorf("--minimum %s: a release's version, 1.2.3", *minimum)
	}
	if *minimum != "" && bundle.Compare(*minimum, *version) > 0 {
		return program.ExitUsage, fmt.Errorf("--minimum %s refuses version %s itself", *minimum, *version)
	}
	names := programs
	if *seed {
		names = slices.DeleteFunc(slices.Clone(programs), func(s string) bool { return s == "netchild" })
	}
	if !isRelease(*version) {
		sayProgress("warning: version %q is none that can be published; a release's is 1.2.3 or 1.2.3-rc.1", *version)
	}
	out := rest[0]
	if _, err := os.Lstat(out); err == nil {
		return exitData, fmt.Errorf("%s: %w\nhint: another OUT, or rm -r %s first", out, fs.ErrExist, out)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	p := packing{from: *from, kind: wanted, names: names}
	return p.pack(ctx, out, bundle.Options{Version: *version, Plists: launchd.Files()}, *minimum)
}

// isRelease: publish and lint-release take no other.
func isRelease(version string) bool { return semver.Canonical("v"+version) == "v"+version }

// A packing is where the programs of a bundle come from.
type packing struct {
	from    string
	kind    kind
	names   []string
	scratch string
}

func (p *packing) pack(ctx context.Context, out string, o bundle.Options, minimum string) (int, error) {
	scratch, err := os.MkdirTemp("", "portward-pack-")
	if err != nil {
		return program.ExitAgain, err
	}
	defer os.RemoveAll(scratch)
	p.scratch = scratch
	if o.Programs, err = p.programs(ctx); err != nil {
		return exitData, err
	}
	if minimum != "" {
		o.Minimum = map[string]string{}
		for _, name := range p.names {
			o.Minimum[name] = minimum
		}
	}
	if err := durable.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return exitData, err
	}
	if _, err := bundle.BuildWith(out, o); err != nil {
		return exitData, err
	}
	seal, err := bundle.Verify(out) // as machines will
	if err != nil {
		return exitData, err
	}
	fmt.Printf("%s: %s, %s\n", out, seal.Version, seal.Hash())
	return program.ExitOK, nil
}

// programs answers where the programs are.
func (p *packing) programs(ctx context.Context) (map[string]string, error) {
	found, err := p.find(ctx)
	if err != nil || p.kind == "" {
		return found, err
	}
	for _, name := range p.names {
		if err := p.kind.check(found[name]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (p *packing) find(ctx context.Context) (map[string]string, error) {
	switch {
	case p.from != "" && p.kind == universal:
		found, err := p.join(lookIn(p.from, p.names))
		return found, wrap("--from", err)
	case p.from != "":
		found, missing := lookIn(p.from, p.names)
		if len(missing) > 0 {
			return nil, fmt.Errorf("--from: %s has no %s", p.from, strings.Join(missing, ", "))
		}
		return found, nil
	case p.kind == universal, p.kind != "" && p.kind != hostKind():
		return p.cross(ctx)
	}
	found, err := findPrograms(ctx, p.scratch, sayProgress)
	maps.DeleteFunc(found, func(name, _ string) bool { return !slices.Contains(p.names, name) })
	return found, err
}

// lookIn answers which programs lie in dir, and which do not.
func lookIn(dir string, names []string) (found map[string]string, missing []string) {
	found = map[string]string{}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() {
			missing = append(missing, name)
			continue
		}
		found[name] = path
	}
	return found, missing
}
