package bundle

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

var testPlists = fstest.MapFS{
	"LaunchDaemons/dev.portward.netchild.plist": {Data: []byte("<plist/>")},
	"LaunchAgents/dev.portward.guiagent.plist":  {Data: []byte("<plist></plist>")},
}

// program writes an executable's stand-in and answers its path.
func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// build makes a sound bundle and answers its path.
func build(t *testing.T) string {
	t.Helper()
	dst := filepath.Join(t.TempDir(), Name)
	_, err := Build(dst, map[string]string{"netchild": program(t, "net"), "supervisor": program(t, "super")}, testPlists, "0.1.0-test", nil)
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

// Rule: what Build makes, Verify accepts, whatever the umask, and the layout
// says where it is.
func TestBuildAndVerify(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dst := filepath.Join(t.TempDir(), Name)
	source := program(t, "net")
	var told []string
	built, err := Build(dst, map[string]string{"netchild": source}, testPlists, "1.2.3+x-y", func(name string) { told = append(told, name) })
	if err != nil {
		t.Fatal(err)
	}
	seal, err := Verify(dst)
	if err != nil {
		t.Fatal(err)
	}
	if seal.Version != "1.2.3+x-y" || !reflect.DeepEqual(seal.Entries, built.Entries) {
		t.Fatalf("verified %+v, built %+v", seal.Entries, built.Entries)
	}
	want := []string{
		"Portward.app", "Portward.app/Contents", "Portward.app/Contents/Info.plist",
		"Portward.app/Contents/Library", "Portward.app/Contents/Library/LaunchAgents", "Portward.app/Contents/Library/LaunchAgents/dev.portward.guiagent.plist",
		"Portward.app/Contents/Library/LaunchDaemons", "Portward.app/Contents/Library/LaunchDaemons/dev.portward.netchild.plist",
		"Portward.app/Contents/MacOS", "Portward.app/Contents/MacOS/netchild", "Portward.app/Contents/Resources",
	}
	var got []string
	for _, e := range seal.Entries {
		got = append(got, e.Path)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("sealed %q, want %q", got, want)
	}
	if len(told) != 4 {
		t.Errorf("progress told of %q", told)
	}
	l := Layout(dst)
	for path, mode := range map[string]fs.FileMode{
		l.Program("netchild"): 0o755, l.Seal(): 0o644, l.LaunchDaemons(): fs.ModeDir | 0o755,
		filepath.Join(l.LaunchAgents(), "dev.portward.guiagent.plist"): 0o644,
	} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, want %v", path, err, mode)
		}
	}
	before, _ := os.Stat(source)
	if after, _ := os.Stat(l.Program("netchild")); os.SameFile(before, after) {
		t.Error("the program is the source's inode")
	}
}

// Rule: the same input gives the same seal, byte for byte.
func TestBuildIsReproducible(t *testing.T) {
	one, err := os.ReadFile(Layout(build(t)).Seal())
	if err != nil {
		t.Fatal(err)
	}
	if two, err := os.ReadFile(Layout(build(t)).Seal()); err != nil || string(one) != string(two) {
		t.Fatalf("%s\n%s, %v", one, two, err)
	}
}

// Rule: a minimum is sealed with the program that it is of, and no other.
func TestBuildWithMinimum(t *testing.T) {
	dst := filepath.Join(t.TempDir(), Name)
	_, err := BuildWith(dst, Options{
		Programs: map[string]string{"netchild": program(t, "net"), "guiagent": program(t, "gui")}, Plists: testPlists,
		Version: "2.0.0", Minimum: map[string]string{"guiagent": "1.5.0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Verify(dst)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range s.Entries {
		want := ""
		if e.Path == "Portward.app/Contents/MacOS/guiagent" {
			want = "1.5.0"
		}
		if e.Minimum != want {
			t.Errorf("%s has the minimum %q", e.Path, e.Minimum)
		}
	}
}

// Rule: Build refuses bad input, leaves nothing, and touches nothing that was
// there.
func TestBuildRefuses(t *testing.T) {
	good := program(t, "x")
	link := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(link, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		programs map[string]string
		plists   fs.FS
		version  string
		says     string
	}{
		"missing program":    {map[string]string{"netchild": good + "-none"}, testPlists, "1", "no such file"},
		"a pipe as program":  {map[string]string{"netchild": link}, testPlists, "1", "a pipe"},
		"a directory":        {map[string]string{"netchild": t.TempDir()}, testPlists, "1", "a directory"},
		"a name that leads":  {map[string]string{"../netchild": good}, testPlists, "1", "program name"},
		"no version":         {map[string]string{"netchild": good}, testPlists, "", "version"},
		"version with space": {map[string]string{"netchild": good}, testPlists, "1 2", "version"},
		"stray plist":        {map[string]string{"netchild": good}, fstest.MapFS{"x.plist": {}}, "1", "x.plist"},
		"other directory":    {map[string]string{"netchild": good}, fstest.MapFS{"Evil/x.plist": {}}, "1", "Evil"},
		"no property list":   {map[string]string{"netchild": good}, fstest.MapFS{"LaunchAgents/x": {}}, "1", "LaunchAgents/x"},
		"only case differs":  {map[string]string{"netchild": good, "Netchild": good}, testPlists, "1", "case"},
	} {
		t.Run(name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), Name)
			_, err := Build(dst, bad.programs, bad.plists, bad.version, nil)
			if err == nil || !strings.Contains(err.Error(), bad.says) {
				t.Fatalf("got %v, want it to name %q", err, bad.says)
			}
			if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("something is left: %v", err)
			}
		})
	}
	dst := filepath.Join(t.TempDir(), Name)
	for who, minimum := range map[string]string{"guiagent": "1.0.0", "netchild": "1/0"} {
		_, err := BuildWith(dst, Options{
			Programs: map[string]string{"netchild": good}, Plists: testPlists, Version: "1",
			Minimum: map[string]string{who: minimum},
		})
		if err == nil || !strings.Contains(err.Error(), "minimum") {
			t.Errorf("a minimum %s of %s: %v", minimum, who, err)
		}
		if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("something is left: %v", err)
		}
	}
	dst = build(t)
	if _, err := Build(dst, map[string]string{"netchild": good}, testPlists, "2", nil); !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	if _, err := Verify(dst); err != nil {
		t.Fatalf("the bundle that was there: %v", err)
	}
}

// Rule: every way in which a tree can differ from its seal is refused, and the
// error names the file.
func TestVerifyRefuses(t *testing.T) {
	const net = "Portward.app/Contents/MacOS/netchild"
	write := func(path, text string, mode os.FileMode) error {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	}
	for name, c := range map[string]struct {
		harm func(at func(string) string) error
		says []string
	}{
		"a file more":             {func(at func(string) string) error { return write(at("Portward.app/Contents/MacOS/more"), "x", 0o755) }, []string{"MacOS/more", "not listed"}},
		"a hidden file more":      {func(at func(string) string) error { return write(at(".DS_Store"), "x", 0o644) }, []string{".DS_Store", "not listed"}},
		"an empty directory more": {func(at func(string) string) error { return os.Mkdir(at("Portward.app/Contents/more"), 0o755) }, []string{"Portward.app/Contents/more", "not listed"}},
		"a file less":             {func(at func(string) string) error { return os.Remove(at(net)) }, []string{net, "not there"}},
		"another byte":            {func(at func(string) string) error { return write(at(net), "nEt", 0o755) }, []string{net, "SHA-256"}},
		"a byte more":             {func(at func(string) string) error { return write(at(net), "net ", 0o755) }, []string{net, "4 bytes"}},
		"a byte less":             {func(at func(string) string) error { return os.Truncate(at(net), 2) }, []string{net, "2 bytes"}},
		"another mode":            {func(at func(string) string) error { return os.Chmod(at(net), 0o700) }, []string{net, "mode 0700"}},
		"not executable":          {func(at func(string) string) error { return os.Chmod(at(net), 0o644) }, []string{net, "mode 0644"}},
		"group may write":         {func(at func(string) string) error { return os.Chmod(at(net), 0o775) }, []string{net, "others may write"}},
		"directory: all write":    {func(at func(string) string) error { return os.Chmod(at("Portward.app/Contents/MacOS"), 0o777) }, []string{"Portward.app/Contents/MacOS", "others may write"}},
		"the bundle: all write":   {func(at func(string) string) error { return os.Chmod(at("."), 0o777) }, []string{"others may write"}},
		"set-uid":                 {func(at func(string) string) error { return os.Chmod(at(net), 0o755|fs.ModeSetuid) }, []string{net, "set-id"}},
		"set-gid":                 {func(at func(string) string) error { return os.Chmod(at(net), 0o755|fs.ModeSetgid) }, []string{net, "set-id"}},
		"sticky directory":        {func(at func(string) string) error { return os.Chmod(at("Portward.app/Contents"), 0o755|fs.ModeSticky) }, []string{"Portward.app/Contents", "sticky"}},
		"a link out": {func(at func(string) string) error {
			return replace(at(net), func(p string) error { return os.Symlink("/bin/sh", p) })
		}, []string{net, "symbolic link"}},
		"a link within": {func(at func(string) string) error {
			return replace(at(net), func(p string) error { return os.Symlink("supervisor", p) })
		}, []string{net, "symbolic link"}},
		"a link more": {func(at func(string) string) error {
			return os.Symlink("netchild", at("Portward.app/Contents/MacOS/more"))
		}, []string{"MacOS/more", "symbolic link"}},
		"a pipe": {func(at func(string) string) error {
			return replace(at(net), func(p string) error { return syscall.Mkfifo(p, 0o755) })
		}, []string{net, "pipe"}},
		"a directory for a file": {func(at func(string) string) error {
			return replace(at(net), func(p string) error { return os.Mkdir(p, 0o755) })
		}, []string{net, "a directory, the seal says file"}},
		"a file for a directory": {func(at func(string) string) error {
			return replace(at("Portward.app/Contents/Library"), func(p string) error { return write(p, "x", 0o755) })
		}, []string{"Portward.app/Contents/Library", "a file, the seal says dir"}},
		"no seal":             {func(at func(string) string) error { return os.Remove(at(sealFile)) }, []string{"seal.json", "no such file"}},
		"a torn seal":         {func(at func(string) string) error { return os.Truncate(at(sealFile), 100) }, []string{"seal", "unexpected end"}},
		"a seal others write": {func(at func(string) string) error { return os.Chmod(at(sealFile), 0o666) }, []string{"seal.json", "others may write"}},
		"an executable seal":  {func(at func(string) string) error { return os.Chmod(at(sealFile), 0o755) }, []string{"seal.json", "mode 0755"}},
		"the seal is a link":  {func(at func(string) string) error { return moveAndLink(at(sealFile), at("../seal.json")) }, []string{"seal.json"}},
		"the seal is a pipe": {func(at func(string) string) error {
			return replace(at(sealFile), func(p string) error { return syscall.Mkfifo(p, 0o644) })
		}, []string{"seal.json", "pipe"}},
		"the directory is gone": {func(at func(string) string) error { return os.RemoveAll(at(".")) }, []string{"no such file"}},
		"the bundle is a link":  {func(at func(string) string) error { return moveAndLink(at("."), at("../elsewhere")) }, []string{"symbolic link"}},
	} {
		t.Run(name, func(t *testing.T) {
			dst := build(t)
			if err := c.harm(func(inside string) string { return filepath.Join(dst, inside) }); err != nil {
				t.Fatal(err)
			}
			_, err := Verify(dst)
			for _, says := range c.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Fatalf("got %v, want it to name %q", err, says)
				}
			}
		})
	}
}

// Rule: one file is judged as it would be in its bundle, wherever it lies.
func TestMatches(t *testing.T) {
	dst := build(t)
	seal, err := Verify(dst)
	if err != nil {
		t.Fatal(err)
	}
	const net = "Portward.app/Contents/MacOS/netchild"
	entry := seal.Entries[slices.IndexFunc(seal.Entries, func(e Entry) bool { return e.Path == net })]
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		says string // empty: it matches
	}{
		"the same":           {"net", 0o755, ""},
		"another byte":       {"nEt", 0o755, "SHA-256"},
		"a byte more":        {"nets", 0o755, "4 bytes"},
		"not executable":     {"net", 0o644, "mode 0644"},
		"others may write":   {"net", 0o757, "others may write"},
		"set-gid, unlisted":  {"net", 0o755 | fs.ModeSetgid, "set-id"},
		"a private one":      {"net", 0o700, "mode 0700"},
		"nothing of it left": {"", 0o755, "0 bytes"},
	} {
		path := program(t, c.text)
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		f := openFile(t, path)
		if _, err := f.Seek(1, 0); err != nil { // where others read is their business
			t.Fatal(err)
		}
		err := entry.Matches(f)
		if (err == nil) != (c.says == "") || err != nil && !(strings.Contains(err.Error(), c.says) && strings.Contains(err.Error(), net)) {
			t.Errorf("%s: got %v, want it to name %q", name, err, c.says)
		}
	}
	if err := entry.Matches(openFile(t, dst)); err == nil || !strings.Contains(err.Error(), "a directory") {
		t.Error(err)
	}
	if err := entry.Matches(openFile(t, "/dev/null")); err == nil || !strings.Contains(err.Error(), "a device") {
		t.Error(err)
	}
	dir := Entry{Path: "Portward.app/Contents", Type: Dir, Mode: "0755"}
	if err := dir.Matches(openFile(t, filepath.Join(dst, "Portward.app/Contents"))); err != nil {
		t.Error(err)
	}
	if err := dir.Matches(openFile(t, filepath.Join(dst, net))); err == nil {
		t.Error("a file passed for a directory")
	}
}

func replace(path string, create func(string) error) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return create(path)
}

func moveAndLink(path, to string) error {
	if err := os.Rename(path, to); err != nil {
		return err
	}
	return os.Symlink(to, path)
}

// Rule: what another user owns, another user may change.
func TestVerifyRefusesStrangersFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give a file away")
	}
	dst := build(t)
	if err := os.Chown(Layout(dst).Program("netchild"), 4242, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dst); err == nil || !strings.Contains(err.Error(), "belongs to uid 4242") {
		t.Fatal(err)
	}
}

// Rule: a device in place of a file is refused before it is opened.
func TestVerifyRefusesDevices(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a device")
	}
	dst := build(t)
	err := replace(Layout(dst).Program("netchild"), func(p string) error {
		return syscall.Mknod(p, syscall.S_IFCHR|0o755, 1<<8|3)
	})
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("needs the right to make a device: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dst); err == nil || !strings.Contains(err.Error(), "a device in a bundle") {
		t.Fatal(err)
	}
}
