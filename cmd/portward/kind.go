package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portward/internal/bundle"
	"portward/internal/bundle/sign"
	"portward/internal/update/publish"
)

// A kind is what programs are built for, as Go says it: "linux/amd64". It is ""
// where nobody has said so.
type kind string

// universal is not Go's: it is a Mac of either processor.
const universal kind = "darwin/universal"

// kinds are what --target takes.
var kinds = []kind{"linux/amd64", "linux/arm64", universal, "darwin/arm64", "darwin/amd64"}

func parseKind(s string) (kind, error) {
	if k := kind(s); s == "" || slices.Contains(kinds, k) {
		return k, nil
	}
	var names []string
	for _, k := range kinds {
		names = append(names, string(k))
	}
	return "", fmt.Errorf("--target %s: one of %s", s, strings.Join(names, ", "))
}

// hostKind is what the programs beside this one are for, a Mac's apart, which are
// for one processor.
func hostKind() kind {
	system, processor, _ := strings.Cut(bundle.HostPlatform(), "-")
	return kind(system + "/" + processor)
}

// platform is how releases call it.
func (k kind) platform() string { return strings.ReplaceAll(string(k), "/", "-") }

func (k kind) check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	switch got := publish.PlatformOf(f); got {
	case k.platform():
		return nil
	case "":
		return fmt.Errorf("%s is no program for %s", path, k)
	default:
		return fmt.Errorf("%s is built for %s, not %s", path, got, k.platform())
	}
}

// parts are the kinds of which one program of this kind is made.
func (k kind) parts() []kind {
	if k == universal {
		return []kind{"darwin/arm64", "darwin/amd64"}
	}
	return []kind{k}
}

// strip answers what the linker leaves out. Stacks of Go need no symbols; those that
// a Mac takes of a process that hangs or dies do.
func (k kind) strip() string {
	if strings.HasPrefix(string(k), "darwin/") {
		return "-w"
	}
	return "-s -w"
}

func (k kind) processor() string { return strings.TrimPrefix(k.platform(), k.system()+"-") }

func (k kind) system() string {
	system, _, _ := strings.Cut(string(k), "/")
	return system
}

// cross builds the programs for a kind of machine that this one need not be.
func (p *packing) cross(ctx context.Context) (map[string]string, error) {
	src, err := source(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("programs for %s are built from source%s, and %w\nhint: run this in a clone of portward, with Go; or --from DIR says where they are", p.kind, thisIsFor(), err)
	}
	built := map[string]string{}
	for _, part := range p.kind.parts() {
		c := compiler{
			src: src, dir: filepath.Join(p.scratch, part.processor()), where: string(part), strip: part.strip(), progress: sayProgress,
			env: []string{"GOOS=" + part.system(), "GOARCH=" + part.processor()},
		}
		if built, err = c.compile(ctx, p.names); err != nil {
			return nil, err
		}
	}
	if p.kind != universal {
		return built, nil
	}
	return p.join(lookIn(p.scratch, p.names))
}

// thisIsFor says what this program is for instead, as are those beside it.
func thisIsFor() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(self)
	if err != nil {
		return ""
	}
	defer f.Close()
	if platform := publish.PlatformOf(f); platform != "" {
		return " (this one is for " + platform + ")"
	}
	return ""
}

// join answers the found programs, and for each that is missing one that is made of
// those for the two processors.
func (p *packing) join(found map[string]string, missing []string) (map[string]string, error) {
	dir := cmp.Or(p.from, p.scratch)
	joined := maps.Clone(found)
	for _, name := range missing {
		var parts []string
		for _, part := range p.kind.parts() {
			path := filepath.Join(dir, part.processor(), name)
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("%s has no %s, and none for %s: %w", dir, name, part, err)
			}
			parts = append(parts, path)
		}
		joined[name] = filepath.Join(p.scratch, name)
		if err := sign.Fat(joined[name], parts...); err != nil {
			return nil, err
		}
	}
	return joined, nil
}
