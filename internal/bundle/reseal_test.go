package bundle

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"howett.net/plist"
)

// signed does to a bundle what signing does: programs change, and files come.
func signed(t *testing.T, dir string) {
	t.Helper()
	l := Layout(dir)
	for path, mode := range map[string]os.FileMode{
		l.Program("netchild"): 0o755,
		filepath.Join(l.App(), "Contents/_CodeSignature/CodeResources"): 0o644,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("signed"), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// Rule: after signing the seal lists what is there, and says of each file what it
// said before; to do it twice changes nothing.
func TestReseal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), Name)
	o := Options{
		Programs: map[string]string{"netchild": program(t, "net"), "guiagent": program(t, "gui")}, Plists: testPlists,
		Version: "1.2.3-rc.1", Minimum: map[string]string{"netchild": "1.0.0"},
	}
	built, err := BuildWith(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	signed(t, dir)
	if _, err := Verify(dir); err == nil {
		t.Fatal("the old seal still holds")
	}
	var told []string
	s, err := Reseal(dir, func(name string) { told = append(told, name) })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Verify(dir); err != nil || got.Hash() != s.Hash() || s.Version != "1.2.3-rc.1" {
		t.Fatalf("%v, %v", got, err)
	}
	was, is := map[string]Entry{}, map[string]Entry{}
	for _, e := range built.Entries {
		was[e.Path] = e
	}
	for _, e := range s.Entries {
		is[e.Path] = e
	}
	const net, meta = "Portward.app/Contents/MacOS/netchild", "Portward.app/Contents/_CodeSignature"
	want := was[net]
	want.Size, want.SHA256 = 6, is[net].SHA256
	if !reflect.DeepEqual(is[net], want) || want.SHA256 == was[net].SHA256 || want.Minimum != "1.0.0" || want.Identifier != "dev.portward.netchild" {
		t.Errorf("netchild is %+v", is[net])
	}
	if e := is[meta+"/CodeResources"]; e.Mode != "0644" || e.Identifier != "" || e.Size != 6 || is[meta].Type != Dir {
		t.Errorf("the signature is %+v in %+v", e, is[meta])
	}
	if len(is) != len(was)+2 || len(told) != 6 {
		t.Errorf("%d entries, %d before; told of %q", len(is), len(was), told)
	}
	again, err := Reseal(dir, nil)
	if err != nil || again.Hash() != s.Hash() {
		t.Errorf("another seal the second time, %v", err)
	}
}

// Rule: a seal that was being written when somebody was killed is in nobody's way,
// and anything else beside the app is.
func TestResealSweeps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), Name)
	if _, err := Build(dir, map[string]string{"netchild": program(t, "net")}, testPlists, "1.0.0", nil); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, ".tmp-0123456789abcdef")
	if err := os.WriteFile(left, []byte("half a seal"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir); err == nil {
		t.Fatal("it was in nobody's way before")
	}
	if _, err := Reseal(dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir); err != nil {
		t.Error(err)
	}
}

// Rule: what Verify would refuse is not sealed, and the seal stays what it was.
func TestResealRefuses(t *testing.T) {
	const app = "Portward.app/Contents/"
	for name, c := range map[string]struct {
		harm func(at func(string) string) error
		says []string
	}{
		"a link":                {func(at func(string) string) error { return os.Symlink("netchild", at(app+"MacOS/more")) }, []string{"MacOS/more", "symbolic link"}},
		"a pipe":                {func(at func(string) string) error { return syscall.Mkfifo(at(app+"Resources/p"), 0o600) }, []string{"Resources/p", "a pipe"}},
		"others may write":      {func(at func(string) string) error { return os.Chmod(at(app+"Info.plist"), 0o666) }, []string{"Info.plist", "others may write"}},
		"set-id":                {func(at func(string) string) error { return os.Chmod(at(app+"MacOS/netchild"), 0o755|os.ModeSetuid) }, []string{"netchild", "set-id"}},
		"a program more":        {func(at func(string) string) error { return os.WriteFile(at(app+"MacOS/more"), nil, 0o755) }, []string{"MacOS/more", "mode 0755"}},
		"a program gone":        {func(at func(string) string) error { return os.Remove(at(app + "MacOS/netchild")) }, []string{"MacOS/netchild", "gone"}},
		"no program any more":   {func(at func(string) string) error { return os.Chmod(at(app+"MacOS/netchild"), 0o644) }, []string{"MacOS/netchild", "mode 0644"}},
		"a directory instead":   {dirInstead(app + "MacOS/netchild"), []string{"MacOS/netchild", "gone"}},
		"a name of two scripts": {func(at func(string) string) error { return os.WriteFile(at(app+"Resources/é"), nil, 0o644) }, []string{"in a path"}},
		"only case differs":     {func(at func(string) string) error { return os.WriteFile(at(app+"info.plist"), nil, 0o644) }, []string{"case"}},
		"beside the app":        {func(at func(string) string) error { return os.WriteFile(at("more"), nil, 0o644) }, []string{"more", "not listed"}},
		"no seal":               {func(at func(string) string) error { return os.Remove(at("seal.json")) }, []string{"seal.json"}},
		"another seal's bytes":  {func(at func(string) string) error { return os.WriteFile(at("seal.json"), []byte("{}"), 0o644) }, []string{"seal"}},
		"vouched for": {func(at func(string) string) error {
			return os.WriteFile(at("tuf/targets.json"), nil, 0o644)
		}, []string{"vouched for"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := build(t)
			if _, err := os.Lstat(filepath.Join(dir, strings.ToUpper(sealFile))); err == nil && name == "only case differs" {
				t.Skip("this file system takes both for one name")
			}
			if err := os.MkdirAll(Layout(dir).Tuf(), 0o755); err != nil {
				t.Fatal(err)
			}
			at := func(inside string) string { return filepath.Join(dir, filepath.FromSlash(inside)) }
			if err := c.harm(at); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(Layout(dir).Seal())
			_, err := Reseal(dir, nil)
			for _, word := range append(c.says, "reseal "+dir) {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("got %v, want it to name %q", err, word)
				}
			}
			if after, _ := os.ReadFile(Layout(dir).Seal()); string(after) != string(before) {
				t.Error("the seal changed")
			}
		})
	}
}

func dirInstead(path string) func(func(string) string) error {
	return func(at func(string) string) error {
		if err := os.Remove(at(path)); err != nil {
			return err
		}
		return os.Mkdir(at(path), 0o755)
	}
}

// Rule: macOS is told numbers, the identifier that the main program is signed
// under, and the oldest system that will do.
func TestInfo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), Name)
	if _, err := Build(dir, map[string]string{Main: program(t, "gui")}, testPlists, "1.2.3-rc.1+x", nil); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(Layout(dir).App(), "Contents/Info.plist"))
	if err != nil {
		t.Fatal(err)
	}
	var info map[string]any
	if _, err := plist.Unmarshal(data, &info); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"CFBundleIdentifier": "dev.portward.guiagent", "CFBundleExecutable": "guiagent", "CFBundleVersion": "1.2.3",
		"CFBundleShortVersionString": "1.2.3", "LSMinimumSystemVersion": "13.0", "LSUIElement": true,
	} {
		if info[key] != want {
			t.Errorf("%s is %v, want %v", key, info[key], want)
		}
	}
	seal, err := Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range seal.Entries {
		if e.Path == programsDir+"/"+Main && e.Identifier != Identifier {
			t.Errorf("the main program is %q, the app %q", e.Identifier, Identifier)
		}
	}
	for version, want := range map[string]string{"1.2.3": "1.2.3", "0.0.0-seed": "0.0.0", "2": "2", "1.2+a": "0", "devel": "0", "3fca01": "0", "": "0", "10.20.30": "10.20.30"} {
		if got := dottedNumber(version); got != want {
			t.Errorf("%q is %q for macOS, want %q", version, got, want)
		}
	}
}
