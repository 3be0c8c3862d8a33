package sign

import (
	"bytes"
	"debug/macho"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sassoftware/relic/v8/lib/fruit/machos"

	"portward/internal/bundle/requirement"
)

const (
	cpuArm = macho.CpuArm64
	cpuX86 = macho.CpuAmd64
)

// Rule: what is no program that a signature can cover is refused, with its
// fault, and stays as it is.
func TestUnfitPrograms(t *testing.T) {
	good := sketch{cpu: cpuArm}.bytes()
	change := func(at int, v ...byte) []byte { b := bytes.Clone(good); copy(b[at:], v); return b }
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":            {nil, "not a Mach-O"},
		"script":           {[]byte("#!/bin/sh\nexit 0\n# a script of more than thirty-two bytes"), "not a Mach-O"},
		"linux":            {append([]byte("\x7fELF"), make([]byte, 60)...), "hint: build it with GOOS=darwin"},
		"32 bits":          {change(0, 0xce), "32 bits"},
		"other order":      {change(0, 0xfe, 0xed, 0xfa, 0xcf), "byte order"},
		"processor":        {change(4, 18), "processor"},
		"object":           {change(12, 1), "type 1"},
		"commands outside": {change(20, 0xff, 0xff), "load commands"},
		"command count":    {change(16, 9), "cut off"},
		"fewer commands":   {change(16, 3), "behind the last load command"},
		"command size":     {change(36, 7), "load command of 7 bytes"},
		"no room":          {sketch{cpu: cpuArm, noRoom: true}.bytes(), "hint: link it with -headerpad"},
		"tail":             {sketch{cpu: cpuArm, tail: 7}.bytes(), "7 bytes behind __LINKEDIT"},
		"segment outside":  {sketch{cpu: cpuArm, commands: [][]byte{segment("__X", 0, 1, 1<<40, 1)}}.bytes(), "__X lies outside"},
		"segment above":    {sketch{cpu: cpuArm, commands: [][]byte{segment("__X", 1<<40, 1, 0, 0)}}.bytes(), "last segment in memory"},
		"second linkedit":  {sketch{cpu: cpuArm, commands: [][]byte{segment("__LINKEDIT", 0, 1, 0, 1)}}.bytes(), "two segments"},
		"encrypted":        {sketch{cpu: cpuArm, commands: [][]byte{words(cmdEncryptionInfo64, 24, 0, 0, 1, 0)}}.bytes(), "unsupported load command: its code is encrypted"},
		"small segment":    {sketch{cpu: cpuArm, commands: [][]byte{append(words(1, 56), make([]byte, 48)...)}}.bytes(), "unsupported load command"},
		"odd signature":    {sketch{cpu: cpuArm, commands: [][]byte{words(cmdCodeSignature, 24, 0, 0, 0, 0)}}.bytes(), "unsupported load command"},
		"signature inside": {sketch{cpu: cpuArm, commands: [][]byte{words(cmdCodeSignature, 16, 0x4000, 8)}}.bytes(), "not the end of __LINKEDIT"},
		"fat of none":      {[]byte{0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0}, "0 processors"},
		"class":            {[]byte{0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52, 1, 2, 3, 4}, "52 processors"},
		"fat of 64 bits":   {[]byte{0xca, 0xfe, 0xba, 0xbf, 0, 0, 0, 1}, "64 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			path := put(t, filepath.Join(t.TempDir(), "p"), c.data, 0o755)
			wantError(t, File(path, "a.b", Options{Identity: AdHoc()}), path, c.want)
			if !bytes.Equal(read(t, path), c.data) {
				t.Fatal("the file was changed")
			}
		})
	}
}

// Rule: an identifier and entitlements are checked before anything is written.
func TestUnfitOptions(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "p"), sketch{cpu: cpuArm}.bytes(), 0o755)
	for _, id := range []string{"", "a b", `a"b`, "..", strings.Repeat("a", 300)} {
		wantError(t, File(path, id, Options{Identity: AdHoc()}), "identifier")
	}
	wantError(t, File(path, "a", Options{Identity: AdHoc(), Entitlements: map[string][]byte{"p": []byte("x")}}), "entitlements")
}

// Rule: a file too large is refused before it is read into memory whole.
func TestTooLarge(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "p"), nil, 0o755)
	if err := os.Truncate(path, maxP12+1); err != nil {
		t.Fatal(err)
	}
	_, err := LoadP12(path, "")
	wantError(t, err, "more than")
}

// Rule: signing again replaces what was there: the same wishes give the same
// bytes, others leave nothing of the old, and the file does not grow.
func TestSignAgain(t *testing.T) {
	p := theWorld()
	signed := Options{Identity: p.identity(t), Runtime: true, Now: time.Unix(p.notBefore.Unix()+60, 0)}
	signed.Entitlements = map[string][]byte{"p": propertyList("<key>a.secret</key><true/>")}
	for name, data := range forms(t) {
		path := put(t, filepath.Join(t.TempDir(), "p"), data, 0o755)
		sign := func(o Options) []byte {
			if err := File(path, "a.b", o); err != nil {
				t.Fatal(name, err)
			}
			return read(t, path)
		}
		first, again := sign(signed), sign(signed)
		if !bytes.Equal(first, again) {
			t.Fatalf("%s: %d bytes, then %d, or others", name, len(first), len(again))
		}
		small := sign(Options{Identity: AdHoc()})
		if bytes.Contains(small, []byte("a.secret")) || bytes.Contains(small, []byte(team)) || len(small) >= len(first) {
			t.Fatalf("%s: something of the old signature is left", name)
		}
		if !bytes.Equal(sign(signed), first) {
			t.Fatalf("%s: the way matters", name)
		}
	}
}

// Rule: a signed file is a new inode of the same mode; who has the old one open
// keeps it, and nothing else is left in the directory.
func TestNewInode(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "p"), sketch{cpu: cpuArm}.bytes(), 0o711)
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := File(path, "a.b", Options{Identity: AdHoc()}); err != nil {
		t.Fatal(err)
	}
	was, _ := old.Stat()
	is, err := os.Stat(path)
	if err != nil || os.SameFile(was, is) || is.Mode() != was.Mode() {
		t.Fatalf("%v, %v", is.Mode(), err)
	}
	if data, err := io.ReadAll(old); err != nil || !bytes.Equal(data, sketch{cpu: cpuArm}.bytes()) {
		t.Fatal("the old file was changed")
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
}

// Rule: a link is not followed, for what it points at belongs to somebody else.
func TestLinkIsRefused(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/p", sketch{cpu: cpuArm}.bytes(), 0o755)
	if err := os.Symlink("p", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	wantError(t, File(dir+"/link", "a.b", Options{Identity: AdHoc()}), "not a regular file")
	if err := File(dir+"/none", "a.b", Options{Identity: AdHoc()}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// Rule: without a wish, the requirement names what the identity can prove: the
// root by its hash when it is not Apple's; nobody's code has none.
func TestDesignatedRequirement(t *testing.T) {
	p := theWorld()
	o := Options{Identity: p.identity(t)}
	text, blob, err := o.designated("dev.portward.netchild")
	if err != nil {
		t.Fatal(err)
	}
	set, err := requirement.ParseSet(blob)
	if err != nil || set[requirement.Designated].String() != text {
		t.Fatal(text, err)
	}
	subject := requirement.Subject{Identifier: "dev.portward.netchild", Chain: o.Identity.chain}
	if err := set[requirement.Designated].Eval(subject); err != nil {
		t.Fatal(text, err)
	}
	subject.Identifier = "dev.portward.guiagent"
	if set[requirement.Designated].Eval(subject) == nil {
		t.Fatal("another program satisfies it")
	}
	o.Identity = AdHoc()
	if text, blob, err := o.designated("a"); err != nil || text != "" || len(blob) != 12 {
		t.Fatal(text, blob, err)
	}
}

// Rule: the runtime's version is the SDK's, and never older than the first that
// there was; without a hardened runtime the directory has no such field.
func TestRuntimeVersion(t *testing.T) {
	m, err := parseImage(sketch{cpu: cpuArm}.bytes())
	if err != nil || m.sdk != 0x000e0200 {
		t.Fatalf("%#x, %v", m.sdk, err)
	}
	m.sdk = 0
	at := func(d []byte, i int) uint32 {
		return uint32(d[i])<<24 | uint32(d[i+1])<<16 | uint32(d[i+2])<<8 | uint32(d[i+3])
	}
	for runtime, version := range map[bool]uint32{true: versionRuntime, false: versionSegment} {
		t1 := &terms{identity: AdHoc(), identifier: "a", runtime: runtime, requirements: requirement.Set(nil)}
		signed, _, err := m.sign(t1)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := parseImage(signed)
		d := blobAt(t, out, slotDirectory)
		if at(d, 8) != version {
			t.Fatalf("version %#x", at(d, 8))
		}
		if runtime && at(d, 88) != oldestRuntime || at(d, 20) != map[bool]uint32{true: 96, false: 88}[runtime] {
			t.Fatalf("runtime %#x, identifier at %d", at(d, 88), at(d, 20))
		}
	}
}

// Rule: a program with an Info.plist in a section of its own is signed with
// that, unless its bundle has another one for it.
func TestInfoSection(t *testing.T) {
	own := append(segment("__INFO", 1, 0x1000, 0, 0x10), sectionOf("__TEXT", "__info_plist", 0x1000, 16)...)
	words := words(72+80, 1)
	copy(own[4:], words[:4])
	copy(own[64:], words[4:])
	m, err := parseImage(sketch{cpu: cpuArm, commands: [][]byte{own}}.bytes())
	if err != nil || len(m.info) != 16 {
		t.Fatalf("%q, %v", m.info, err)
	}
	for _, outer := range [][]byte{nil, []byte("the bundle's")} {
		signed, _, err := m.sign(&terms{identity: AdHoc(), identifier: "a", requirements: requirement.Set(nil), info: outer})
		if err != nil {
			t.Fatal(err)
		}
		_, err = machos.Verify(bytes.NewReader(signed), outer, nil, false) // reads the section if there is no outer one
		if wantError(t, err, "adhoc"); bytes.Contains([]byte(err.Error()), []byte("info_plist")) {
			t.Fatal(err)
		}
	}
	copy(own[72+32+8:], []byte{0xff, 0xff, 0xff, 0xff}) // its size
	_, err = parseImage(sketch{cpu: cpuArm, commands: [][]byte{own}}.bytes())
	wantError(t, err, "__info_plist lies outside")
}

// Rule: a library has no entitlements and no executable segment of a program.
func TestLibrary(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "l"), sketch{cpu: cpuArm, filetype: macho.TypeDylib}.bytes(), 0o644)
	o := Options{Identity: AdHoc(), Entitlements: map[string][]byte{"l": propertyList("<key>a</key><true/>")}}
	if err := File(path, "a.l", o); err != nil {
		t.Fatal(err)
	}
	m, err := parseImage(read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if d := blobAt(t, m, slotDirectory); d[87] != 0 || bytes.Contains(m.data, []byte("<plist")) {
		t.Fatal("signed as a program")
	}
}

// Rule: whatever is in a file, it is signed or refused, and what was signed can
// be signed again to the same bytes.
func FuzzSign(f *testing.F) {
	for _, s := range []sketch{{cpu: cpuArm}, {cpu: cpuX86, noRoom: true}, {cpu: cpuX86, tail: 3}} {
		f.Add(s.bytes())
	}
	arm, _ := parseImage(sketch{cpu: cpuArm}.bytes())
	x86, _ := parseImage(sketch{cpu: cpuX86}.bytes())
	fat, err := join([]slice{{arm, 4}, {x86, 4}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fat)
	wish := &terms{identity: AdHoc(), identifier: "a", requirements: requirement.Set(nil)}
	f.Fuzz(func(t *testing.T, data []byte) {
		signed, _, err := signFile(data, wish)
		if err != nil {
			return
		}
		again, _, err := signFile(signed, wish)
		if err != nil || !bytes.Equal(signed, again) {
			t.Fatalf("%d bytes, then %d, %v", len(signed), len(again), err)
		}
	})
}
