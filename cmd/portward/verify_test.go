package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portward/internal/bundle"
	"portward/internal/bundle/requirement"
	"portward/internal/bundle/sign"
	"portward/internal/bundle/signature"
	"portward/internal/update/tufrepo"
	"portward/launchd"
)

// sealAnew makes the seal fit the files, as anybody can, and changes its entries.
func sealAnew(t *testing.T, dir string, change func(*bundle.Entry)) {
	t.Helper()
	seal := must(bundle.ReadSeal(dir))(t)
	entries := seal.Entries[:0:0]
	for _, e := range seal.Entries {
		path := filepath.Join(dir, e.Path)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if e.Type == bundle.File {
			data := must(os.ReadFile(path))(t)
			sum := sha256.Sum256(data)
			e.Size, e.SHA256 = int64(len(data)), fmt.Sprintf("%x", sum)
		}
		change(&e)
		entries = append(entries, e)
	}
	data := must((&bundle.Seal{Entries: entries, Version: seal.Version}).Bytes())(t)
	check(t, os.WriteFile(bundle.Layout(dir).Seal(), data, 0o644))
	must(bundle.Verify(dir))(t)
}

const (
	anyELF    = "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00 and so on"
	anyScript = "#!/bin/sh\necho taken over\n"
)

// Rule: whether Apple's signature counts is for the files to say: no seal that
// somebody made again makes verify look away from a program of a Mac's.
func TestVerifyAsksTheFiles(t *testing.T) {
	id, root := selfMade(t)
	good := signedBundle(t, id, programs...)
	ask := checking{Options: signature.Options{Anchors: [][32]byte{root}}}
	must(ask.verify(good))(t)
	keep := func(*bundle.Entry) {}
	nameless := func(e *bundle.Entry) { e.Identifier = "" }
	fill := func(text string, names ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				check(t, os.WriteFile(bundle.Layout(dir).Program(name), []byte(text), 0o755))
			}
		}
	}
	without := func(t *testing.T, dir string) {
		check(t, os.RemoveAll(filepath.Join(dir, "Portward.app/Contents/_CodeSignature")))
	}
	both := func(a, b func(*testing.T, string)) func(*testing.T, string) {
		return func(t *testing.T, dir string) { a(t, dir); b(t, dir) }
	}
	for name, c := range map[string]struct {
		harm   func(*testing.T, string)
		change func(*bundle.Entry)
		says   string
	}{
		"no identifiers":                {flipByte("netchild"), nameless, `the seal says "" of supervisor`},
		"one identifier less":           {flipByte("netchild"), onlyOf("netchild", nameless), `the seal says "" of netchild`},
		"identifiers exchanged":         {flipByte("netchild"), onlyOf("netchild", func(e *bundle.Entry) { e.Identifier = "dev.portward.portward" }), "of netchild"},
		"a byte":                        {flipByte("netchild"), keep, "MacOS/netchild"},
		"scripts":                       {fill(anyScript, programs...), keep, "not a program for any platform"},
		"scripts, no signature":         {both(fill(anyScript, programs...), without), keep, "not a program for any platform"},
		"one script":                    {fill(anyScript, "portward"), keep, "MacOS/portward: not a program"},
		"programs for Linux":            {fill(anyELF, programs...), keep, "in part for a Mac"},
		"a program for Linux":           {fill(anyELF, "supervisor"), keep, "built for linux-amd64"},
		"Linux, the rest nameless":      {fill(anyELF, "guiagent"), exceptFor("guiagent", nameless), "the seal says"},
		"no signature":                  {without, keep, "not signed as an app"},
		"Linux, and a Mac's as a file":  {both(both(fill(anyELF, programs...), without), asResource), keep, "in part for a Mac"},
		"Linux, and an executable more": {both(both(fill(anyELF, programs...), without), asResource), exceptFor("guiagent", keep), "in part for a Mac"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), bundle.Name)
			copyTree(t, good, dir)
			c.harm(t, dir)
			sealAnew(t, dir, c.change)
			_, err := ask.verify(dir)
			wantRefusal(t, err, c.says)
		})
	}
}

func flipByte(program string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := bundle.Layout(dir).Program(program)
		data := must(os.ReadFile(path))(t)
		data[0x6000] ^= 1
		check(t, os.WriteFile(path, data, 0o755))
	}
}

// asResource lays a program of a Mac's where only a plain file was.
func asResource(t *testing.T, dir string) {
	path := filepath.Join(dir, "Portward.app/Contents/Info.plist")
	check(t, os.WriteFile(path, must(os.ReadFile(tinyFat(t)))(t), 0o644))
}

func onlyOf(program string, change func(*bundle.Entry)) func(*bundle.Entry) {
	return func(e *bundle.Entry) {
		if strings.HasSuffix(e.Path, "/MacOS/"+program) {
			change(e)
		}
	}
}

func exceptFor(program string, change func(*bundle.Entry)) func(*bundle.Entry) {
	return func(e *bundle.Entry) {
		if !strings.HasSuffix(e.Path, "/MacOS/"+program) {
			change(e)
		}
	}
}

// Rule: an executable that the seal does not call a program is none of a bundle's.
func TestVerifyStrangeExecutable(t *testing.T) {
	dir := linuxBundle(t)
	path := filepath.Join(dir, "Portward.app/Contents/Resources/more")
	check(t, os.WriteFile(path, []byte(anyScript), 0o644))
	must(bundle.Reseal(dir, nil))(t)
	_, err := (&checking{}).verify(dir)
	check(t, err)
	check(t, os.Chmod(path, 0o755))
	sealAnewLoose(t, dir, path)
	_, err = (&checking{}).verify(dir)
	wantRefusal(t, err, "Resources/more: executable, and the seal has no identifier for it")
}

// sealAnewLoose makes the seal call that file executable.
func sealAnewLoose(t *testing.T, dir, path string) {
	t.Helper()
	sealAnew(t, dir, func(e *bundle.Entry) {
		if filepath.Join(dir, e.Path) == path {
			e.Mode = "0755"
		}
	})
}

// linuxBundle answers one whose programs say that they are for Linux.
func linuxBundle(t *testing.T) string {
	t.Helper()
	dir, elf := filepath.Join(t.TempDir(), bundle.Name), filepath.Join(t.TempDir(), "elf")
	check(t, os.WriteFile(elf, []byte(anyELF), 0o755))
	o := bundle.Options{Programs: map[string]string{}, Plists: launchd.Files(), Version: "1.0.0"}
	for _, name := range programs {
		o.Programs[name] = elf
	}
	must(bundle.BuildWith(dir, o))(t)
	return dir
}

// Rule: of a bundle for Linux is said that nobody signed it, and what is asked of
// signatures is refused.
func TestVerifyLinux(t *testing.T) {
	dir := linuxBundle(t)
	v := must((&checking{}).verifyAny(dir))(t)
	if v.Signed || v.Platform != "linux-amd64" || v.Root != "" {
		t.Errorf("%+v", v)
	}
	_, err := (&checking{team: testTeam}).verify(dir)
	wantRefusal(t, err, "programs of a Mac")
	ask := checking{Options: signature.Options{Requirement: must(requirement.Parse("always"))(t)}}
	_, err = ask.verify(dir)
	wantRefusal(t, err, "programs of a Mac")
}

// Rule: every kind of a Mac's program is known by its beginning, whichever tool or
// processor it is for, and nothing shorter is.
func TestBeginsAsMachO(t *testing.T) {
	for head, want := range map[string]bool{
		"\xfe\xed\xfa\xce": true, "\xce\xfa\xed\xfe": true, "\xfe\xed\xfa\xcf": true, "\xcf\xfa\xed\xfe": true,
		"\xca\xfe\xba\xbe": true, "\xbe\xba\xfe\xca": true, "\xca\xfe\xba\xbf": true, "\xbf\xba\xfe\xca": true,
		"\x7fELF": false, "#!/b": false, "": false, "\xca\xfe\xba": false,
	} {
		if got, err := beginsAsMachO(strings.NewReader(head)); got != want || err != nil {
			t.Errorf("%q: %v, %v", head, got, err)
		}
	}
	if _, err := beginsAsMachO(sick{}); err == nil {
		t.Error("what cannot be read is none")
	}
}

type sick struct{}

func (sick) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

// Rule: --team is for every program, and not for the app's name only.
func TestVerifyTeam(t *testing.T) {
	id, root := selfMade(t)
	dir := signedBundle(t, id, programs...)
	ask := checking{Options: signature.Options{Anchors: [][32]byte{root}}, team: testTeam}
	must(ask.verify(dir))(t)
	ask.team = "OTHERTEAM1"
	_, err := ask.verify(dir)
	wantRefusal(t, err, `of team "TEAM123456", not "OTHERTEAM1"`)
	nobody := checking{Options: signature.Options{AllowAdHoc: true}, team: testTeam}
	_, err = nobody.verify(signedBundle(t, sign.AdHoc(), programs...))
	wantRefusal(t, err, `of team "", not`)
}

// Rule: the metadata in a bundle vouch for its seal or it is refused; whose they are
// is proved by --trust alone, which nobody's absence satisfies.
func TestVerifyVouching(t *testing.T) {
	dir := linuxBundle(t)
	minted := must(tufrepo.ThrowAway(time.Now()))(t)
	root, targets, err := minted.Vouch(must(os.ReadFile(bundle.Layout(dir).Seal()))(t))
	check(t, err)
	file := filepath.Join(t.TempDir(), "1.root.json")
	check(t, os.WriteFile(file, root, 0o644))
	_, err = (&checking{trust: file}).verifyAny(dir)
	wantRefusal(t, err, "nobody of that repository vouches for it")

	check(t, vouch(dir, map[string][]byte{"root.json": root, "targets.json": targets}))
	sum := fmt.Sprintf("%x", sha256.Sum256(root))
	for _, trust := range []string{"", file} {
		if v := must((&checking{trust: trust}).verifyAny(dir))(t); v.Root != sum {
			t.Errorf("--trust %q: %+v", trust, v)
		}
	}
	other, _, err := must(tufrepo.ThrowAway(time.Now()))(t).Vouch(nil)
	check(t, err)
	check(t, os.WriteFile(file, other, 0o644))
	_, err = (&checking{trust: file}).verifyAny(dir)
	wantRefusal(t, err, "targets that vouch")

	sealAnew(t, dir, func(*bundle.Entry) {})
	check(t, os.WriteFile(bundle.Layout(dir).Program("netchild"), []byte(anyELF+"!"), 0o755))
	sealAnew(t, dir, func(*bundle.Entry) {})
	_, err = (&checking{}).verifyAny(dir)
	wantRefusal(t, err, "no target lists the seal")
}

// Rule: one program is verified alone, but for an app's main one, whose signature
// covers more.
func TestVerifyOneFile(t *testing.T) {
	id, root := selfMade(t)
	l := bundle.Layout(signedBundle(t, id, programs...))
	ask := checking{Options: signature.Options{Anchors: [][32]byte{root}}, team: testTeam}
	v := must(ask.verifyAny(l.Program("netchild")))(t)
	if len(v.Programs) != 2 || v.File == "" || v.Bundle != "" || v.Programs[0].Identifier != "dev.portward.netchild" {
		t.Errorf("%+v", v)
	}
	_, err := ask.verifyAny(l.Program("guiagent"))
	wantRefusal(t, err, "Info.plist: signed, but missing: it was signed together with files of its app")
	wantRefusal(t, err, "hint: portward verify BUNDLE")
	ask.trust = "root.json"
	_, err = ask.verifyAny(l.Program("netchild"))
	wantRefusal(t, err, "vouches for bundles")
	data := must(os.ReadFile(l.Program("netchild")))(t)
	if !bytes.Equal(data[:4], []byte{0xca, 0xfe, 0xba, 0xbe}) {
		t.Errorf("not for both processors: %x", data[:4])
	}
}
