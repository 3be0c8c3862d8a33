package sign

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sassoftware/relic/v8/lib/fruit/machos"
	"howett.net/plist"

	"portward/internal/bundle/requirement"
)

// packed makes a bundle as internal/bundle lays it out, seal and all.
func packed(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Portward.app")
	for path, text := range map[string]string{
		"Info.plist": `<plist version="1.0"><dict><key>CFBundleIdentifier</key><string>dev.portward</string>` +
			`<key>CFBundleExecutable</key><string>guiagent</string></dict></plist>`,
		"Library/LaunchDaemons/dev.portward.netchild.plist": "<plist/>",
		"Library/LaunchAgents/dev.portward.guiagent.plist":  "<plist/>",
		"Resources/icon.icns":                               "an icon",
		"Resources/de.lproj/Localizable.strings":            "Worte",
		"Resources/Base.lproj/Main.nib":                     "a window",
		"Resources/de.lproj/locversion.plist":               "not looked at",
		"Resources/.DS_Store":                               "not looked at",
		"PkgInfo":                                           "APPL????",
	} {
		put(t, filepath.Join(dir, "Contents", path), []byte(text), 0o644)
	}
	for i, name := range []string{"supervisor", "netchild", "guiagent", "portward"} {
		arm, x86 := sketch{cpu: cpuArm, content: byte(i)}, sketch{cpu: cpuX86, content: byte(i)}
		a, _ := parseImage(arm.bytes())
		x, _ := parseImage(x86.bytes())
		data, err := join([]slice{{a, fatAlign}, {x, fatAlign}})
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, "Contents/MacOS", name), data, 0o755)
	}
	return dir
}

// Rule: a bundle that cannot be signed whole is not signed at all, and the
// error names what is in the way.
func TestUnfitBundles(t *testing.T) {
	info := func(id, exe string) []byte {
		return fmt.Appendf(nil, `<plist version="1.0"><dict><key>CFBundleIdentifier</key><string>%s</string><key>CFBundleExecutable</key><string>%s</string></dict></plist>`, id, exe)
	}
	for name, c := range map[string]struct {
		spoil func(contents string) error
		o     Options
		want  string
	}{
		"no bundle":     {spoil: func(c string) error { return os.RemoveAll(c) }, want: "no such file"},
		"no Info.plist": {spoil: func(c string) error { return os.Remove(c + "/Info.plist") }, want: "not a bundle"},
		"Info.plist":    {spoil: func(c string) error { return os.WriteFile(c+"/Info.plist", []byte("<plist"), 0o644) }, want: "Info.plist"},
		"identifier":    {spoil: func(c string) error { return os.WriteFile(c+"/Info.plist", info(`a "b`, "guiagent"), 0o644) }, want: "CFBundleIdentifier"},
		"executable":    {spoil: func(c string) error { return os.WriteFile(c+"/Info.plist", info("a", "../guiagent"), 0o644) }, want: "CFBundleExecutable"},
		"no executable": {spoil: func(c string) error { return os.Remove(c + "/MacOS/guiagent") }, want: "Contents/MacOS/guiagent: the main executable"},
		"no programs":   {spoil: func(c string) error { return os.RemoveAll(c + "/MacOS") }, want: "the main executable"},
		"script":        {spoil: func(c string) error { return os.WriteFile(c+"/MacOS/run", []byte("#!/bin/sh"), 0o755) }, want: "Contents/MacOS/run: not a Mach-O"},
		"link":          {spoil: func(c string) error { return os.Symlink("/etc/passwd", c+"/Resources/link") }, want: "Contents/Resources/link: neither"},
		"program link":  {spoil: func(c string) error { return os.Symlink("guiagent", c+"/MacOS/link") }, want: "Contents/MacOS/link: neither"},
		"library":       {spoil: func(c string) error { return os.MkdirAll(c+"/Frameworks", 0o755) }, o: Options{Identifiers: map[string]string{"Contents/MacOS/x": "a"}}, want: "Contents/MacOS/x: no program"},
		"framework": {spoil: func(c string) error {
			os.Mkdir(c+"/Frameworks", 0o755)
			return os.WriteFile(c+"/Frameworks/l.dylib", nil, 0o755)
		}, want: "Contents/Frameworks/l.dylib: lies where only code may"},
		"deep program":     {spoil: func(c string) error { os.Mkdir(c+"/MacOS/d", 0o755); return os.WriteFile(c+"/MacOS/d/p", nil, 0o755) }, want: "Contents/MacOS/d/p: lies where"},
		"file in Contents": {spoil: func(c string) error { return os.WriteFile(c+"/notes", nil, 0o644) }, want: "Contents/notes: lies where"},
		"beside Contents":  {spoil: func(c string) error { return os.WriteFile(c+"/../notes", nil, 0o644) }, want: "notes: beside Contents"},
		"entitlements":     {spoil: func(string) error { return nil }, o: Options{Entitlements: map[string][]byte{"guiagnet": nil}}, want: "guiagnet: no program"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := packed(t)
			if err := c.spoil(dir + "/Contents"); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			c.o.Identity = AdHoc()
			wantError(t, Bundle(dir, c.o), dir, c.want)
			if after := snapshot(t, dir); after != before {
				t.Fatalf("%s\n%s", before, after)
			}
		})
	}
}

// snapshot tells all that is in a tree, in one text.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, _ := d.Info()
		fmt.Fprint(&b, path, info.Mode())
		if d.Type().IsRegular() {
			fmt.Fprintf(&b, " %x", sha256.Sum256(read(t, path)))
		}
		b.WriteString("\n")
		return nil
	})
	return b.String()
}

// Rule: a timestamp that cannot be had leaves the bundle as it was.
func TestNoTimestamp(t *testing.T) {
	dir := packed(t)
	before := snapshot(t, dir)
	o := Options{Identity: theWorld().identity(t), Timestamp: "http://127.0.0.1:1/"}
	wantError(t, Bundle(dir, o), "timestamp of http://127.0.0.1:1/", "hint:")
	if snapshot(t, dir) != before {
		t.Fatal("something was written")
	}
}

// sealFile is CodeResources as this test reads it, from the rules alone.
type sealFile struct {
	Files  map[string]any `plist:"files"`
	Files2 map[string]struct {
		Hash        []byte `plist:"hash2"`
		Optional    bool   `plist:"optional"`
		CDHash      []byte `plist:"cdhash"`
		Requirement string `plist:"requirement"`
	} `plist:"files2"`
	Rules  map[string]any `plist:"rules"`
	Rules2 map[string]any `plist:"rules2"`
}

// Rule: all that is in a bundle is sealed, but for what Apple leaves out and
// what vouches for the seal; the main executable seals the seal.
func TestBundle(t *testing.T) {
	p := theWorld()
	dir := packed(t)
	contents := filepath.Join(dir, "Contents")
	put(t, contents+"/_CodeSignature/CodeDirectory", []byte("of an old signature"), 0o644)
	put(t, contents+"/MacOS/.tmp-0123456789abcdef", []byte("of a killed run"), 0o644)
	var told []string
	o := Options{
		Identity: p.identity(t), Team: team, Runtime: true,
		Identifiers:  map[string]string{"Contents/MacOS/guiagent": "dev.portward.guiagent"},
		Entitlements: map[string][]byte{"netchild": propertyList("<key>com.apple.security.network.server</key><true/>")},
		Progress:     func(s string) { told = append(told, s) },
	}
	if err := Bundle(dir, o); err != nil {
		t.Fatal(err)
	}
	if strings.Join(told, " ") != "netchild portward supervisor guiagent" {
		t.Fatal(told)
	}
	resources := read(t, contents+"/_CodeSignature/CodeResources")
	var seal sealFile
	if _, err := plist.Unmarshal(resources, &seal); err != nil {
		t.Fatal(err)
	}
	checkSeal(t, contents, seal)
	for name, id := range map[string]string{"netchild": "dev.portward.netchild", "guiagent": "dev.portward.guiagent"} {
		var info, res []byte
		if name == "guiagent" {
			info, res = read(t, contents+"/Info.plist"), resources
		}
		for _, part := range thinParts(t, read(t, contents+"/MacOS/"+name)) {
			v, err := machos.Verify(bytes.NewReader(part), info, res, false)
			if err != nil {
				t.Fatal(name, err)
			}
			d := v.Blob.Directories[0]
			if d.SigningIdentity != id || (d.ManifestHash != nil) != (info != nil) || (d.ResourcesHash != nil) != (res != nil) {
				t.Fatalf("%+v", d.Header)
			}
			if (v.Blob.Entitlement != nil) != (name == "netchild") {
				t.Fatal("entitlements of", name)
			}
			if err := v.Signature.VerifyChain(p.pool(), nil, x509.ExtKeyUsageCodeSigning); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkSeal reads every file anew and judges by Apple's rules, written here a
// second time as what they mean for this tree.
func checkSeal(t *testing.T, contents string, seal sealFile) {
	t.Helper()
	open := regexp.MustCompile(`^(_CodeSignature/|Info\.plist$|PkgInfo$|MacOS/guiagent$|(.*/)?\.DS_Store$|.*\.lproj/locversion\.plist$)`)
	seen := 0
	err := fs.WalkDir(os.DirFS(contents), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		entry, listed := seal.Files2[path]
		if listed == open.MatchString(path) {
			t.Errorf("%s: listed is %v", path, listed)
		}
		if !listed {
			return nil
		}
		seen++
		data := read(t, filepath.Join(contents, path))
		switch {
		case strings.HasPrefix(path, "MacOS/"):
			checkNested(t, path, data, entry.CDHash, entry.Requirement)
		case fmt.Sprintf("%x", entry.Hash) != fmt.Sprintf("%x", sha256.Sum256(data)):
			t.Errorf("%s: another hash", path)
		}
		if entry.Optional != strings.Contains(path, "de.lproj/") {
			t.Errorf("%s: optional is %v", path, entry.Optional)
		}
		old, isOld := seal.Files[path]
		if isOld != strings.HasPrefix(path, "Resources/") {
			t.Errorf("%s: in files: %v", path, isOld)
		}
		if sum := sha1.Sum(data); isOld && !entry.Optional && !bytes.Equal(old.([]byte), sum[:]) {
			t.Errorf("%s: another SHA-1", path)
		}
		return nil
	})
	if err != nil || seen != len(seal.Files2) || len(seal.Rules2) < 13 || seal.Rules2["^.*"] != true {
		t.Fatalf("%d files, %d listed, %v", seen, len(seal.Files2), err)
	}
}

// checkNested wants a program to be bound for every processor: by who signed it,
// and by one hash of one of its parts, each of which is in the requirement.
func checkNested(t *testing.T, path string, data, cdhash []byte, text string) {
	t.Helper()
	r, err := requirement.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var hashes []string
	designated := ""
	for i, part := range thinParts(t, data) {
		m, err := parseImage(part)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(blobAt(t, m, slotDirectory))
		if i == 0 && !bytes.Equal(cdhash, sum[:20]) {
			t.Errorf("%s: another cdhash", path)
		}
		hashes = append(hashes, fmt.Sprintf("cdhash H\"%x\"", sum[:20]))
		set, err := requirement.ParseSet(blobAt(t, m, slotRequirements))
		if err != nil {
			t.Fatal(err)
		}
		designated = set[requirement.Designated].String()
	}
	if want := designated + " and (" + strings.Join(hashes, " or ") + ")"; len(hashes) != 2 || r.String() != want {
		t.Errorf("%s: %q, want %q", path, text, want)
	}
}

// Rule: nobody's bundle holds its programs by their hashes, one for each
// processor.
func TestAdHocBundle(t *testing.T) {
	dir := packed(t)
	if err := Bundle(dir, Options{Identity: AdHoc()}); err != nil {
		t.Fatal(err)
	}
	var seal sealFile
	if _, err := plist.Unmarshal(read(t, dir+"/Contents/_CodeSignature/CodeResources"), &seal); err != nil {
		t.Fatal(err)
	}
	r, err := requirement.Parse(seal.Files2["MacOS/netchild"].Requirement)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range thinParts(t, read(t, dir+"/Contents/MacOS/netchild")) {
		checkGoMachoHashes(t, part)
		m, _ := parseImage(part)
		sum := sha256.Sum256(blobAt(t, m, slotDirectory))
		if err := r.Eval(requirement.Subject{Identifier: "dev.portward.netchild", CDHashes: [][]byte{sum[:20]}}); err != nil {
			t.Fatal(err)
		}
	}
}

// checkGoMachoHashes wants nobody's signature to hold no CMS blob at all.
func checkGoMachoHashes(t *testing.T, part []byte) {
	t.Helper()
	if _, err := machos.Verify(bytes.NewReader(part), nil, nil, false); err == nil || !strings.Contains(err.Error(), "adhoc") {
		t.Fatal(err)
	}
}

// Rule: the same bundle and time give the same bytes, and so does signing it
// again; a run that was killed anywhere is put right by the next.
func TestBundleAgain(t *testing.T) {
	p := theWorld()
	o := Options{Identity: p.identity(t), Runtime: true, Now: time.Unix(p.notBefore.Unix()+60, 0)}
	dir := packed(t)
	if err := Bundle(dir, o); err != nil {
		t.Fatal(err)
	}
	want := snapshot(t, dir)
	unsigned := packed(t)
	for _, path := range []string{"MacOS/netchild", "MacOS/guiagent", "_CodeSignature/CodeResources", ""} {
		if err := Bundle(dir, o); err != nil {
			t.Fatal(err)
		}
		if got := snapshot(t, dir); got != want {
			t.Fatalf("%s\n%s", want, got)
		}
		old, err := os.ReadFile(filepath.Join(unsigned, "Contents", path))
		if path = filepath.Join(dir, "Contents", path); errors.Is(err, fs.ErrNotExist) {
			os.Remove(path)
		} else if err == nil {
			put(t, path, old, 0o755)
		}
	}
}

// Rule: the weightiest rule decides, and only Apple's own omissions omit.
func TestRules(t *testing.T) {
	b := newRulebook(rulesV2())
	for path, want := range map[string]ruling{
		"Resources/seal.json": sealed, "Resources/locversion.plist": sealed,
		"Library/LaunchDaemons/x.plist": sealed, "Library/LoginItems/x": nested, "MacOS/x": nested, "MacOS/a.dSYM/x": sealed,
		"version.plist": sealed, "embedded.provisionprofile": sealed, "Info.plist": omitted, "PkgInfo": omitted, "x": nested,
		"MacOS/.DS_Store": omitted, "Resources/a.lproj/x": optional, "Resources/Base.lproj/x": sealed, "Resources/a.lproj/locversion.plist": omitted,
	} {
		if got := b.of(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if !isExcluded("_MASReceipt/seal.json") || !isExcluded("CodeResources") || isExcluded("_CodeSignature2/x") {
		t.Error("exclusions")
	}
}
