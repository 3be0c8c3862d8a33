package publish

import (
	"debug/macho"
	"strings"
	"testing"

	"portward/internal/bundle"
)

// Rule: a program's platform is what its header says, and of one for both of a
// Mac's processors it is the one that every Mac looks for.
func TestPlatformOf(t *testing.T) {
	thin := machO(macho.CpuArm64)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"a script":               {[]byte("#!/bin/sh\n"), ""},
		"nothing":                {nil, ""},
		"Linux":                  {elfFor(0x3e), "linux-amd64"},
		"Linux on what no Go is": {elfFor(0x16), ""},
		"one processor":          {thin, "darwin-arm64"},
		"fat with one":           {fatMachO(), "darwin-arm64"},
		"both":                   {fatMachO(macho.CpuAmd64), bundle.Universal},
		"PowerPC":                {machO(macho.CpuPpc64), ""},
	} {
		if got := PlatformOf(strings.NewReader(string(c.data))); got != c.want {
			t.Errorf("%s: built for %q, want %q", name, got, c.want)
		}
	}
}

// Rule: what no machine looks for is not published, nor under another's name.
func TestChoosePlatform(t *testing.T) {
	for _, c := range []struct{ asked, found, want, says string }{
		{"", "linux-amd64", "linux-amd64", ""},
		{"linux-amd64", "", "linux-amd64", ""},
		{"", bundle.Universal, bundle.Universal, ""},
		{bundle.Universal, "", bundle.Universal, ""},
		{"", "", "", "--platform " + bundle.HostPlatform()},
		{"linux-arm64", "linux-amd64", "", "built for linux-amd64"},
		{"", "darwin-arm64", "", "pack --target darwin/universal"},
		{"darwin-amd64", "", "", "pack --target darwin/universal"},
		{bundle.Universal, "darwin-arm64", "", "built for darwin-arm64"},
		{"Linux", "", "", "small letters"},
	} {
		got, err := choosePlatform(c.asked, c.found)
		if c.says == "" && (err != nil || got != c.want) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("asked %q, found %q: %q, %v", c.asked, c.found, got, err)
		}
	}
}

// FuzzPlatformOf: whatever a program begins with, it is for one platform or none.
func FuzzPlatformOf(f *testing.F) {
	f.Add(machO(macho.CpuArm64)[:64])
	f.Add(elfFor(0x3e))
	f.Add(be32(macho.MagicFat, 2, uint32(macho.CpuArm64), 0, 0, 0, 0, uint32(macho.CpuAmd64), 0, 0, 0, 0))
	f.Add(be32(macho.MagicFat, 1<<31))
	f.Fuzz(func(t *testing.T, data []byte) {
		platform := PlatformOf(strings.NewReader(string(data)))
		if platform != "" && checkWord("platform", platform) != nil {
			t.Errorf("%q", platform)
		}
	})
}
