package sign

import (
	"bytes"
	"debug/macho"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sassoftware/relic/v8/lib/fruit/machos"
)

// Rule: a fat file is made of thin programs for different processors, and of
// nothing else.
func TestUnfitParts(t *testing.T) {
	dir := t.TempDir()
	arm := put(t, dir+"/arm", sketch{cpu: cpuArm}.bytes(), 0o755)
	other := put(t, dir+"/other", sketch{cpu: cpuArm, content: 1}.bytes(), 0o755)
	script := put(t, dir+"/script", []byte("#!/bin/sh"), 0o755)
	out := dir + "/out"
	wantError(t, Fat(out, arm, other), "two programs for arm64")
	wantError(t, Fat(out, arm, script), script, "not a Mach-O")
	wantError(t, Fat(out, arm, dir+"/none"), "no such file")
	wantError(t, Fat(out), "no program")
	if err := Fat(dir+"/fat", arm); err != nil {
		t.Fatal(err)
	}
	wantError(t, Fat(out, dir+"/fat"), "not a Mach-O")
	if _, err := os.Lstat(out); err == nil {
		t.Fatal("something was written")
	}
}

// Rule: the same parts give the same file, in whatever order they come; each
// lies on a page of arm64, as it is.
func TestFat(t *testing.T) {
	dir := t.TempDir()
	arm, x86 := sketch{cpu: cpuArm}.bytes(), sketch{cpu: cpuX86}.bytes()
	put(t, dir+"/arm", arm, 0o644)
	put(t, dir+"/x86", x86, 0o600)
	for _, order := range [][]string{{"arm", "x86"}, {"x86", "arm"}} {
		if err := Fat(dir+"/out", dir+"/"+order[0], dir+"/"+order[1]); err != nil {
			t.Fatal(err)
		}
		data := read(t, dir+"/out")
		f, err := macho.NewFatFile(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Arches) != 2 || f.Arches[0].Cpu != cpuX86 || f.Arches[1].Cpu != cpuArm {
			t.Fatalf("%+v", f.Arches)
		}
		for i, want := range [][]byte{x86, arm} {
			a := f.Arches[i]
			if a.Offset%(1<<14) != 0 || a.Align != 14 || !bytes.Equal(data[a.Offset:a.Offset+a.Size], want) {
				t.Fatalf("%+v", a.FatArchHeader)
			}
		}
	}
	if info, err := os.Stat(dir + "/out"); err != nil || info.Mode() != 0o755 {
		t.Fatal(info.Mode(), err)
	}
}

// Rule: a table that lies about the parts, or leaves bytes that no part covers,
// is refused.
func TestLyingFat(t *testing.T) {
	arm, _ := parseImage(sketch{cpu: cpuArm}.bytes())
	x86, _ := parseImage(sketch{cpu: cpuX86}.bytes())
	good, err := join([]slice{{x86, fatAlign}, {arm, fatAlign}})
	if err != nil {
		t.Fatal(err)
	}
	set := func(at int, v uint32) []byte {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint32(b[at:], v)
		return b
	}
	hidden := bytes.Clone(good)
	hidden[0x200] = 1
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"overlap":      {set(8+20+8, 0x4000), "overlaps"},
		"over table":   {set(8+8, 0), "overlaps"},
		"outside":      {set(8+20+12, 1<<31), "outside"},
		"wraps":        {set(8+20+8, 0xffffc000), "outside"},
		"unaligned":    {set(8+8, 0x4001), "alignment"},
		"alignment":    {set(8+16, 40), "alignment"},
		"processor":    {set(8, 12), "another processor"},
		"same":         {append(bytes.Clone(good[:8]), good[8:]...)[:len(good)-1], "outside"},
		"short part":   {set(8+20+12, 0x1000), "part 2"},
		"hidden bytes": {hidden, "something lies before it"},
		"tail":         {append(bytes.Clone(good), 0), "behind the last part"},
		"cut off":      {good[:20], "2 processors"},
	} {
		_, _, err := split(c.data)
		if wantError(t, err, c.want); t.Failed() {
			t.Fatal(name)
		}
	}
	if parts, fat, err := split(good); err != nil || !fat || len(parts) != 2 {
		t.Fatal(err)
	}
}

// Rule: what Go's own linker makes, for both processors, with and without a
// signature of its own, is signed and accepted by a verifier that did not write
// it.
func TestGoPrograms(t *testing.T) {
	p := theWorld()
	dir := t.TempDir()
	put(t, dir+"/go.mod", []byte("module x\n"), 0o644)
	put(t, dir+"/x.go", []byte("package main\n\nfunc main() { println(1) }\n"), 0o644)
	for _, arch := range []string{"arm64", "amd64"} {
		build := exec.Command("go", "build", "-o", arch, ".")
		build.Dir = dir
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=darwin", "GOARCH="+arch, "GOFLAGS=", "GOWORK=off")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	fat := filepath.Join(dir, "fat")
	if err := Fat(fat, dir+"/arm64", dir+"/amd64"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fat, dir + "/arm64", dir + "/amd64"} {
		for _, id := range []*Identity{AdHoc(), p.identity(t)} {
			if err := File(path, "a.b", Options{Identity: id, Runtime: true}); err != nil {
				t.Fatal(err)
			}
		}
		for _, part := range thinParts(t, read(t, path)) {
			if _, err := machos.Verify(bytes.NewReader(part), nil, nil, false); err != nil {
				t.Fatal(path, err)
			}
			checkLinkedit(t, part)
		}
	}
}
