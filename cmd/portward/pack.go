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

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/program"
	"portward/launchd"
)

const packUsage = `usage: portward pack --version VERSION [flags] OUT

Makes a bundle of the product's programs and seals it: OUT/Portward.app, and
OUT/seal.json beside it. Nothing may be at OUT yet. The programs are those beside
this one, or else built from this module's source.

  --version VERSION  the release's, 1.2.3 or 1.2.3-rc.1; what is no such version
                     can run here, and cannot be published
  --from DIR         take the programs from DIR
  --minimum VERSION  peers older than this are told to relaunch
  --seed             without netchild: a first bundle, to be installed on a
                     machine that fetches the rest by itself
`

func pack(args []string) (int, error) {
	flags := toolFlags("pack")
	version := flags.String("version", "", "")
	from := flags.String("from", "", "")
	minimum := flags.String("minimum", "", "")
	seed := flags.Bool("seed", false, "")
	rest, err := parseMixed(flags, args, packUsage)
	if err != nil {
		return program.ExitUsage, err
	}
	if len(rest) != 1 || *version == "" {
		return program.ExitUsage, errors.New("pack takes --version and one place\nhint: portward pack --help")
	}
	if *minimum != "" && bundle.Compare(*minimum, *version) > 0 {
		return program.ExitUsage, fmt.Errorf("--minimum %s refuses version %s itself", *minimum, *version)
	}
	names := programs
	if *seed {
		names = slices.DeleteFunc(slices.Clone(programs), func(s string) bool { return s == "netchild" })
	}
	out := rest[0]
	if _, err := os.Lstat(out); err == nil {
		return exitData, fmt.Errorf("%s: %w", out, fs.ErrExist)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	return packTo(ctx, out, *from, names, bundle.Options{Version: *version, Plists: launchd.Files()}, *minimum)
}

func packTo(ctx context.Context, out, from string, names []string, o bundle.Options, minimum string) (int, error) {
	scratch, err := os.MkdirTemp("", "portward-pack-")
	if err != nil {
		return program.ExitAgain, err
	}
	defer os.RemoveAll(scratch)
	if o.Programs, err = programsFor(ctx, from, scratch, names); err != nil {
		return exitData, err
	}
	if minimum != "" {
		o.Minimum = map[string]string{}
		for _, name := range names {
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

// programsFor answers where those programs are: in from, or where findPrograms
// finds all.
func programsFor(ctx context.Context, from, scratch string, names []string) (map[string]string, error) {
	if from != "" {
		found, missing := lookIn(from, names)
		if len(missing) > 0 {
			return nil, fmt.Errorf("%s has no %s", from, strings.Join(missing, ", "))
		}
		return found, nil
	}
	found, err := findPrograms(ctx, scratch, sayProgress)
	maps.DeleteFunc(found, func(name, _ string) bool { return !slices.Contains(names, name) })
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
