package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portward/internal/bundle"
	"portward/internal/update/publish"
)

// Rule: programs are taken as they are for the target, or made of those for its two
// processors; what is for another machine is refused before there is a bundle.
func TestProgramsFor(t *testing.T) {
	fat := must(os.ReadFile(tinyFat(t)))(t)
	thin := func(processor string) []byte {
		return must(os.ReadFile(filepath.Join(filepath.Dir(tinyFat(t)), processor, "tiny")))(t)
	}
	other := must(os.ReadFile(must(os.Executable())(t)))(t)
	const both = "netchild guiagent"
	for name, c := range map[string]struct {
		kind  kind
		files map[string][]byte
		says  string
	}{
		"fat ones":              {universal, map[string][]byte{"netchild": fat, "guiagent": fat}, ""},
		"one fat, one in parts": {universal, map[string][]byte{"netchild": fat, "arm64/guiagent": thin("arm64"), "amd64/guiagent": thin("amd64")}, ""},
		"all in parts": {universal, map[string][]byte{
			"arm64/netchild": thin("arm64"), "amd64/netchild": thin("amd64"), "arm64/guiagent": thin("arm64"), "amd64/guiagent": thin("amd64"),
		}, ""},
		"a part missing":          {universal, map[string][]byte{"netchild": fat, "arm64/guiagent": thin("arm64")}, "none for darwin/amd64"},
		"the same part twice":     {universal, map[string][]byte{"netchild": fat, "arm64/guiagent": thin("arm64"), "amd64/guiagent": thin("arm64")}, "two programs for arm64"},
		"a part that is no Mac's": {universal, map[string][]byte{"netchild": fat, "arm64/guiagent": thin("arm64"), "amd64/guiagent": other}, "guiagent"},
		"thin for both":           {universal, map[string][]byte{"netchild": fat, "guiagent": thin("arm64")}, "built for darwin-arm64, not darwin-universal"},
		"one processor":           {"darwin/arm64", map[string][]byte{"netchild": thin("arm64"), "guiagent": thin("arm64")}, ""},
		"the other one":           {"darwin/arm64", map[string][]byte{"netchild": thin("arm64"), "guiagent": thin("amd64")}, "built for darwin-amd64"},
		"a script":                {"darwin/arm64", map[string][]byte{"netchild": thin("arm64"), "guiagent": []byte("#!/bin/sh\n")}, "no program for darwin/arm64"},
		"a Mac's on Linux":        {"linux/amd64", map[string][]byte{"netchild": fat, "guiagent": fat}, "built for darwin-universal"},
		"whatever, unasked":       {"", map[string][]byte{"netchild": fat, "guiagent": []byte("#!/bin/sh\n")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, data := range c.files {
				check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755))
				check(t, os.WriteFile(filepath.Join(dir, file), data, 0o755))
			}
			p := packing{from: dir, kind: c.kind, names: strings.Fields(both), scratch: t.TempDir()}
			found, err := p.programs(context.Background())
			if c.says != "" {
				wantRefusal(t, err, c.says)
				return
			}
			check(t, err)
			for _, name := range p.names {
				f := must(os.Open(found[name]))(t)
				if got := publish.PlatformOf(f); c.kind != "" && got != c.kind.platform() {
					t.Errorf("%s is for %q", name, got)
				}
				f.Close()
			}
		})
	}
}

// Rule: what --target is called, releases and machines call the same.
func TestKinds(t *testing.T) {
	if universal.platform() != bundle.Universal {
		t.Errorf("%s is %s for releases, and Macs look for %s", universal, universal.platform(), bundle.Universal)
	}
	if hostKind().platform() != bundle.HostPlatform() {
		t.Errorf("this machine is %s", hostKind())
	}
	for _, k := range kinds {
		if got := must(parseKind(string(k)))(t); got != k || k.system()+"-"+k.processor() != k.platform() {
			t.Errorf("%s is %s", k, got)
		}
	}
	for _, bad := range []string{"darwin", "linux/universal", "darwin-universal", "plan9/amd64", "/"} {
		_, err := parseKind(bad)
		wantRefusal(t, err, "one of linux/amd64")
	}
}
