package signature

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const nestedRule = `<key>^(Helpers|MacOS)/</key><dict><key>nested</key><true/><key>weight</key><integer>10</integer></dict>`

// seal makes a bundle of a main program and whatever is at dir already, with that
// CodeResources, as no signer of ours would.
func (w *world) seal(t *testing.T, dir, files string) {
	t.Helper()
	w.sealAs(t, dir, inResources(nestedRule, files))
}

func (w *world) sealAs(t *testing.T, dir, text string) {
	t.Helper()
	write(t, filepath.Join(dir, "Contents/Info.plist"), []byte(infoPlist))
	write(t, filepath.Join(dir, "Contents/_CodeSignature/CodeResources"), []byte(text))
	program := w.chain.forge(t, w.thinSigned(t, entitlementsPlist), func(b map[uint32][]byte) {
		d := b[slotDirectory]
		hashes := binary.BigEndian.Uint32(d[16:])
		info, resources := sha256.Sum256([]byte(infoPlist)), sha256.Sum256([]byte(text))
		copy(d[hashes-32*slotInfo:], info[:])
		copy(d[hashes-32*slotResources:], resources[:])
	})
	write(t, filepath.Join(dir, "Contents/MacOS/guiagent"), program)
}

func linkEntry(name, target string) string {
	return fmt.Sprintf("<key>%s</key><dict><key>symlink</key><string>%s</string></dict>", name, target)
}

func fileEntry(name, text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("<key>%s</key><dict><key>hash2</key><data>%s</data></dict>", name, base64.StdEncoding.EncodeToString(sum[:]))
}

// Rule: a link is as sealed, and leads to something in the bundle, even if the
// signer says otherwise.
func TestLinks(t *testing.T) {
	w := signedWorld(t)
	for name, c := range map[string]struct {
		sealed, target string
		want           string
	}{
		"to a file":        {"../a.txt", "../a.txt", ""},
		"to a directory":   {"../Resources", "../Resources", ""},
		"changed":          {"../a.txt", "../b.txt", "not what was sealed"},
		"same, other way":  {"../a.txt", "../Resources/../a.txt", "not what was sealed"},
		"out":              {"../../../out", "../../../out", "out of the bundle"},
		"to the top":       {"../../Contents", "../../Contents", "out of the bundle"},
		"absolute":         {"/etc/passwd", "/etc/passwd", "out of the bundle"},
		"absolute, inside": {"/System/Library", "/System/Library", "out of the bundle"},
		"to nothing":       {"../none", "../none", "to nothing"},
		"to itself":        {"link", "link", "to nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "X.app")
			write(t, filepath.Join(dir, "Contents/a.txt"), []byte("a"))
			if err := os.MkdirAll(filepath.Join(dir, "Contents/Resources"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(c.target, filepath.Join(dir, "Contents/Resources/link")); err != nil {
				t.Fatal(err)
			}
			w.seal(t, dir, fileEntry("a.txt", "a")+linkEntry("Resources/link", c.sealed))
			_, err := VerifyBundle(dir, w.options())
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Contents/Resources/link")) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// Rule: what is sealed as one thing is not another.
func TestSealedKinds(t *testing.T) {
	w := signedWorld(t)
	program := "<key>%s</key><dict><key>requirement</key><string>always</string></dict>"
	for name, c := range map[string]struct {
		entry, want string
	}{
		"file as a link":            {linkEntry("a.txt", "x"), "sealed as a link"},
		"file as a program":         {fmt.Sprintf(program, "a.txt"), "sealed as a program"},
		"file as no program":        {fileEntry("a.txt", "a") + fileEntry("Helpers/x", "x"), "Helpers/x"},
		"no Mach-O":                 {fileEntry("a.txt", "a") + fmt.Sprintf(program, "Helpers/x"), "Helpers/x"},
		"Info.plist in the list":    {fileEntry("a.txt", "a") + fileEntry("Info.plist", "b"), "Info.plist"},
		"main program in the list":  {fileEntry("a.txt", "a") + fileEntry("MacOS/guiagent", "b"), "MacOS/guiagent"},
		"the list in the list":      {fileEntry("a.txt", "a") + fileEntry("_CodeSignature/CodeResources", "b"), "CodeResources"},
		"missing":                   {fileEntry("a.txt", "a") + fileEntry("b.txt", "b"), "b.txt: sealed, but missing"},
		"requirement nobody reads":  {fileEntry("a.txt", "a") + strings.Replace(fmt.Sprintf(program, "Helpers/x"), "always", "so so", 1), "Helpers/x"},
		"requirement nobody passes": {fileEntry("a.txt", "a") + strings.Replace(fmt.Sprintf(program, "Helpers/y"), "always", "never", 1), "Helpers/y"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "X.app")
			write(t, filepath.Join(dir, "Contents/a.txt"), []byte("a"))
			for _, x := range []string{"x", "y"} {
				if !strings.Contains(c.entry, "Helpers/"+x) {
					continue
				}
				data := []byte("x")
				if x == "y" {
					data = w.thinSigned(t, "")
				}
				write(t, filepath.Join(dir, "Contents/Helpers", x), data)
			}
			w.seal(t, dir, c.entry)
			_, err := VerifyBundle(dir, w.options())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// Rule: a signer cannot leave out files, even if its rules say so.
func TestWeakRules(t *testing.T) {
	w := signedWorld(t)
	dir := filepath.Join(t.TempDir(), "X.app")
	write(t, filepath.Join(dir, "Contents/plug/in"), []byte("a"))
	w.sealAs(t, dir, inResources("<key>^plug/</key><dict><key>omit</key><true/><key>weight</key><integer>20</integer></dict>", ""))
	if _, err := VerifyBundle(dir, w.options()); err == nil || !strings.Contains(err.Error(), "leaves files out") {
		t.Errorf("%v", err)
	}
}

// Rule: a bundle in a bundle is verified as one, and its faults are the outer
// one's.
func TestNestedBundle(t *testing.T) {
	w := signedWorld(t)
	const inner = "Contents/Helpers/Help.app"
	entry := func(requirement string) string {
		return fileEntry("a.txt", "a") + fmt.Sprintf("<key>Helpers/Help.app</key><dict><key>requirement</key><string>%s</string></dict>", requirement)
	}
	for name, c := range map[string]struct {
		requirement string
		tamper      func(dir string) error
		want        string
	}{
		"untouched":       {"anchor apple generic", nil, ""},
		"of another":      {`identifier "other"`, nil, "Help.app"},
		"file changed":    {"always", func(d string) error { return appendTo(d+"/"+inner+"/Contents/b.txt", "x") }, "b.txt: not what was sealed"},
		"file added":      {"always", func(d string) error { return os.WriteFile(d+"/"+inner+"/Contents/c", nil, 0o644) }, "Contents/c: not sealed"},
		"program changed": {"always", func(d string) error { return poke(d+"/"+inner+"/Contents/MacOS/guiagent", 0x1010, 1) }, "page 1"},
		"not signed":      {"always", func(d string) error { return os.RemoveAll(d + "/" + inner + "/Contents/_CodeSignature") }, "CodeResources"},
		"a link instead":  {"always", func(d string) error { return swapForLink(d+"/"+inner, "..") }, "Help.app"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "X.app")
			write(t, filepath.Join(dir, "Contents/a.txt"), []byte("a"))
			write(t, filepath.Join(dir, inner, "Contents/b.txt"), []byte("b"))
			w.seal(t, filepath.Join(dir, inner), fileEntry("b.txt", "b"))
			w.seal(t, dir, entry(c.requirement))
			if c.tamper != nil {
				if err := c.tamper(dir); err != nil {
					t.Fatal(err)
				}
			}
			r, err := VerifyBundle(dir, w.options())
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Help.app")) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err == nil && (len(r.Programs) != 2 || r.Programs[1].Path != inner+"/Contents/MacOS/guiagent") {
				t.Errorf("%+v", r.Programs)
			}
		})
	}
}
